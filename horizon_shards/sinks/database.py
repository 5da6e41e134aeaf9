"""Records as rows of the database, by the ORM, at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from django.db import IntegrityError, router, transaction
from django.db.models import Model

from horizon_shards.declarations import declaration_of, key_fields
from horizon_shards.exceptions import ConfigurationError
from horizon_shards.sinks.base import Sink
from horizon_shards.sinks.record import EVENT_ID, Record

DATABASE_KEYS = frozenset({"USING", "ON_DUPLICATE"})


class DatabaseSink(Sink):
    """Stores each record when it is put, as ``save()`` would, in the caller's transaction.

    ``USING``: the alias; without it the routers say. ``ON_DUPLICATE``: ``"raise"``, the default, or ``"skip"`` for a
    row whose event id is stored already.
    """

    known_options: ClassVar[frozenset[str]] = DATABASE_KEYS

    def __init__(self, name: str = "default", options: Mapping[str, Any] | None = None) -> None:
        super().__init__(name, options)
        self.rows = Rows(name, self.options)

    @property
    def stores_at_once(self) -> bool:
        """It does."""
        return True

    def put(self, record: Record | Model) -> None:
        """Store it now; the errors are the database's."""
        self.rows.store(record.instance() if isinstance(record, Record) else record)

    def put_many(self, records: Iterable[Record | Model]) -> None:
        """Store all of them with a query for each model; of one model all or none."""
        by_model: dict[type[Model], list[Model]] = {}
        for record in records:
            instance = record.instance() if isinstance(record, Record) else record
            by_model.setdefault(type(instance), []).append(instance)
        for instances in by_model.values():
            self.rows.store_many(instances)


class Rows:
    """Stores instances in the alias that the options of a sink name."""

    def __init__(self, name: str, options: Mapping[str, Any]) -> None:
        self.using: str | None = options.get("USING")
        policy = options.get("ON_DUPLICATE", "raise")
        if policy not in ("raise", "skip"):
            where = f"HORIZON_SINKS[{name!r}]['OPTIONS']['ON_DUPLICATE']"
            raise ConfigurationError(f"{where} must be one of raise, skip, not {policy!r}.")
        self.skips = policy == "skip"

    def alias_of(self, model: type[Model]) -> str:
        """The alias that rows of the model are written to."""
        return self.using or router.db_for_write(model)

    def store(self, instance: Model) -> None:
        """Insert one row, or pass over it where its event is stored already and that is meant."""
        alias = self.alias_of(type(instance))
        if not self.skips:
            instance.save(using=alias, force_insert=True)
            return
        try:
            with transaction.atomic(using=alias):
                instance.save(using=alias, force_insert=True)
        except IntegrityError:
            if not is_stored(instance, alias):
                raise

    def store_many(self, instances: list[Model]) -> None:
        """Insert rows of one model together; one by one where some may be stored already."""
        alias = self.alias_of(type(instances[0]))
        try:
            with transaction.atomic(using=alias):
                type(instances[0])._base_manager.using(alias).bulk_create(instances)
        except IntegrityError:
            if not self.skips:
                raise
            with transaction.atomic(using=alias):
                for instance in instances:
                    self.store(instance)


def is_stored(instance: Model, alias: str) -> bool:
    """Whether a row with the event id (and the shard key) of the instance is there."""
    model = type(instance)
    declaration = declaration_of(model)
    names = {EVENT_ID}
    if declaration is not None and declaration.kind == "sharded":
        names |= {field.attname for field in key_fields(model)}
    if not names <= {field.attname for field in model._meta.concrete_fields}:
        return False
    return model._base_manager.using(alias).filter(**{name: getattr(instance, name) for name in names}).exists()
