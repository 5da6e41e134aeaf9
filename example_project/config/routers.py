"""The routers of the warehouse, and of ``SHARDS=0``: the sharded models on one plain database."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.db.models import Model

from horizon_shards.declarations import declaration_of


class WarehouseRouter:
    """The models of the app ``warehouse`` live on the alias of that name, and nothing else does."""

    def db_for_read(self, model: type[Model], **hints: Any) -> str | None:
        """``warehouse`` for its models; nothing to say of others."""
        return "warehouse" if model._meta.app_label == "warehouse" else None

    db_for_write = db_for_read

    def allow_migrate(self, database: str, app_label: str, model_name: str | None = None, **hints: Any) -> bool | None:
        """Its tables are made there alone."""
        if "warehouse" not in (database, app_label):
            return None
        return database == app_label


def _home(model: type[Model]) -> str:
    declaration = declaration_of(model)
    return declaration.database if declaration else "default"


class OneDatabaseRouter:
    """Sends a model where its ``Sharding`` says, although that alias is no logical database here."""

    def db_for_read(self, model: type[Model], **hints: Any) -> str:
        """The alias that the model declares, ``default`` for an unsharded one."""
        return _home(model)

    db_for_write = db_for_read

    def allow_relation(self, one: Model, other: Model, **hints: Any) -> bool:
        """Relations may leave the database: the sharded models declare them without a constraint."""
        return True

    def allow_migrate(self, database: str, app_label: str, model_name: str | None = None, **hints: Any) -> bool | None:
        """A table is made in the database that its model declares, and nowhere else."""
        if model_name is None:
            return None
        return _home(hints.get("model") or apps.get_model(app_label, model_name)) == database
