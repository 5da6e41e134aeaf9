"""The database router: sharded and reference models go to the logical database of their group."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.db import router
from django.db.models import Model

from horizon_shards import context
from horizon_shards.declarations import Declaration, declaration_of, declaration_of_label
from horizon_shards.exceptions import ConfigurationError
from horizon_shards.topology import get_topology, group_of_alias

#: The app whose tables are the directory.
DIRECTORY_APP = "horizon_shards"


class ShardRouter:
    """Name this in ``DATABASE_ROUTERS``; its answers depend on the model alone and are stable."""

    def db_for_read(self, model: type[Model], **hints: Any) -> str | None:
        """The logical alias of a sharded or reference model; for others see :func:`_own_database`."""
        declaration = declaration_of(model)
        if declaration is not None:
            return declaration.database
        return _directory_of(model) or _own_database(model, hints, router.db_for_read)

    def db_for_write(self, model: type[Model], **hints: Any) -> str | None:
        """As :meth:`db_for_read`: which shard is decided by the query, not here."""
        declaration = declaration_of(model)
        if declaration is not None:
            _note_write(declaration.database)
            return declaration.database
        return _directory_of(model) or _own_database(model, hints, router.db_for_write)

    def allow_relation(self, obj1: Model, obj2: Model, **hints: Any) -> bool | None:
        """Whether two objects may be related: yes where a sharded one is in its own group's database.

        A sharded object that was read from some other database (a backup, say) may not be related to
        anything here.
        """
        declarations = declaration_of(type(obj1)), declaration_of(type(obj2))
        if declarations == (None, None):
            return None
        return all(
            declaration is None or _at_home(obj, declaration)
            for obj, declaration in zip((obj1, obj2), declarations, strict=True)
        )

    def allow_migrate(self, db: str, app_label: str, model_name: str | None = None, **hints: Any) -> bool | None:
        """Tables of a group on its shards alone, the directory's tables on the directory alone.

        Where the settings are broken: nowhere. Django's own checks of models ask, and a traceback there would
        hide the check that names the setting; ``migrate`` itself refuses.
        """
        try:
            return self._allow_migrate(db, app_label, model_name, hints)
        except ConfigurationError:
            return False

    def _allow_migrate(self, db: str, app_label: str, model_name: str | None, hints: dict[str, Any]) -> bool | None:
        if app_label == DIRECTORY_APP:
            return db in _directories()
        if model_name is None and "model" in hints:
            model_name = hints["model"]._meta.model_name
        if model_name is None:
            return _allow_without_model(db, app_label, hints)
        group = group_of_alias(db)
        home = _home_of(f"{app_label}.{model_name}", hints.get("model"))
        if group is not None:
            return home == group.alias
        return None if home is None else False


def _note_write(database: str) -> None:
    """Who asks where to write may first look whether something is there (``get_or_create()``): on the primary."""
    group = get_topology().groups.get(database)
    if group is not None and group.has_replicas:
        context.note_write(database)


def _directory_of(model: type[Model]) -> str | None:
    """The directory, for the models that are its tables; with several of them the caller says which by using()."""
    if getattr(model, "_meta", None) is None or model._meta.app_label != DIRECTORY_APP:
        return None
    directories = _directories()
    return next(iter(directories)) if len(directories) == 1 else None


def _own_database(model: type[Model], hints: dict[str, Any], ask: Any) -> str | None:
    """The database of an unsharded model that is reached from a sharded row.

    Django falls back to the database of the instance, which is the wrong one here; so the routers are asked
    again as if there were no instance.
    """
    instance = hints.get("instance")
    if instance is None or instance._state.db is None or group_of_alias(instance._state.db) is None:
        return None
    answer: str = ask(model, **{name: hint for name, hint in hints.items() if name != "instance"})
    return answer


def _at_home(obj: Model, declaration: Declaration) -> bool:
    if obj._state.db is None:
        return True
    group = group_of_alias(obj._state.db)
    return group is not None and group.alias == declaration.database


def _directories() -> set[str | None]:
    return {group.config.directory for group in get_topology().groups.values()} - {None}


def _home_of(label: str, model: type[Model] | None) -> str | None:
    """The logical alias of a model by label, also of one that only old migrations know."""
    declaration = declaration_of_label(label) or (declaration_of(model) if model is not None else None)
    if declaration is not None:
        return declaration.database
    for group in get_topology().groups.values():
        if label.lower() in group.config.historical_models:
            return group.alias
    return None


def _allow_without_model(db: str, app_label: str, hints: dict[str, Any]) -> bool | None:
    """RunPython and RunSQL: where the hint ``database`` says, else wherever the app has a model."""
    group = group_of_alias(db)
    if "database" in hints:
        asked = group_of_alias(hints["database"])
        return hints["database"] == db or (group is not None and asked is group)
    homes = {_home_of(model._meta.label, model) for model in _models_of(app_label)}
    if group is not None:
        return group.alias in homes
    return False if homes and None not in homes else None


def _models_of(app_label: str) -> list[type[Model]]:
    try:
        return list(apps.get_app_config(app_label).get_models())
    except LookupError:
        return []


__all__ = ["ShardRouter"]
