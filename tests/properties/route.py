"""Sending the same code to one plain database instead of the shards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from django.contrib.auth.models import User
from django.db import router
from django.db.models import Model

from tests.shop.models import Site

#: Models of another database than the group's.
UNSHARDED: tuple[type[Model], ...] = (Site, User)
_alias: ContextVar[str | None] = ContextVar("oracle_alias", default=None)


class OracleRouter:
    """Inside :func:`asking`, every model of the shop lives in one plain database; outside it has no opinion."""

    def db_for_read(self, model: type[Model], **hints: Any) -> str | None:
        if model is not User and model._meta.app_label != Site._meta.app_label:
            return None if _alias.get() is None else "default"
        return _alias.get()

    db_for_write = db_for_read

    def allow_relation(self, obj1: Model, obj2: Model, **hints: Any) -> bool | None:
        return None if _alias.get() is None else True


@contextmanager
def asking(alias: str | None) -> Iterator[None]:
    """Run the block on the plain database ``alias``; None leaves it to the project's routers."""
    token = _alias.set(alias)
    try:
        yield
    finally:
        _alias.reset(token)


@contextmanager
def installed() -> Iterator[None]:
    """Put the router in front of the project's own for the block."""
    mine = OracleRouter()
    router.routers.insert(0, mine)
    try:
        yield
    finally:
        router.routers.remove(mine)
