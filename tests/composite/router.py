"""Sends the models of this app to the plain database on the engine of the run."""

from __future__ import annotations

from typing import Any


class OnOracle:
    """Placed before the shard router."""

    def db_for_read(self, model: Any, **hints: Any) -> str | None:
        return "oracle" if model._meta.app_label == "composite" else None

    db_for_write = db_for_read

    def allow_relation(self, obj1: Any, obj2: Any, **hints: Any) -> bool | None:
        return True if obj1._meta.app_label == obj2._meta.app_label == "composite" else None
