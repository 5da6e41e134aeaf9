"""Blocks and decorators for code that talks to Redshift: query groups, and conflicts that are tried again."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections, transaction

P = ParamSpec("P")
R = TypeVar("R")

#: Redshift's error of transactions that cannot be put into an order, and how its text begins.
CONFLICT = "1023"
CONFLICT_TEXT = "serializable isolation violation"


@contextmanager
def query_group(name: str, *, using: str = DEFAULT_DB_ALIAS) -> Iterator[None]:
    """Label the queries of a block for workload management and the logs; does nothing on other databases.

    Blocks nest: the outer label is back at the end of the inner one.
    """
    connection = connections[using]
    if connection.vendor != "redshift":
        yield
        return
    outer = getattr(connection, "query_group", None)
    _set_query_group(using, name)
    try:
        yield
    finally:
        # A transaction that has failed takes nothing but ROLLBACK, which undoes the label that was set in it.
        if connection.in_atomic_block and connection.needs_rollback:
            connection.query_group = outer
        else:
            _set_query_group(using, outer)


def _set_query_group(using: str, name: str | None) -> None:
    connection = connections[using]
    with connection.cursor() as cursor:
        if name is None:
            cursor.execute("RESET query_group")
        else:
            cursor.execute("SET query_group TO %s", [name])
    connection.query_group = name


def is_conflict(error: BaseException) -> bool:
    """Whether an error is Redshift's "serializable isolation violation" (1023)."""
    text = str(error).lower()
    return isinstance(error, DatabaseError) and (
        CONFLICT_TEXT in text or text.startswith((CONFLICT, f"error: {CONFLICT}"))
    )


def retry_conflicts(
    *, using: str = DEFAULT_DB_ALIAS, attempts: int = 4, wait_seconds: float = 0.1
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A decorator: run a function in a transaction of its own, and again where Redshift refuses its order.

    The function may run several times, so it must do nothing else that cannot be undone. Raises ``RuntimeError``
    within another ``atomic()``, because only a whole transaction can be repeated; after the last attempt, the error.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def repeated(*args: P.args, **kwargs: P.kwargs) -> R:
            for attempt in range(attempts - 1):
                try:
                    with transaction.atomic(using=using, durable=True):
                        return function(*args, **kwargs)
                except DatabaseError as error:
                    if not is_conflict(error):
                        raise
                    time.sleep(wait_seconds * 2**attempt)
            with transaction.atomic(using=using, durable=True):
                return function(*args, **kwargs)

        return repeated

    return decorate
