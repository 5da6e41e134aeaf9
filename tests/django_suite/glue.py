"""Makes every model of Django's tests a reference model, or one that is sharded by its primary key."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

from django.db import connections
from django.db.models import ForeignKey, Model
from django.db.models.signals import class_prepared

from horizon_shards.backends.redshift import compiler as redshift
from horizon_shards.backends.redshift.storage import DECLARABLE, Storage
from horizon_shards.backends.sharded import attached, inserts, steps, units
from horizon_shards.backends.sharded.execute import Run
from horizon_shards.backends.sharded.federation import select
from horizon_shards.backends.sharded.inserts import InsertRouter
from horizon_shards.backends.sharded.querylog import logged_by_shard_only
from horizon_shards.declarations import Declaration, declare_by_default
from horizon_shards.placement import Placement

#: Tables that each shard has of its own.
OWN_TABLES = {"migrations.migration"}
#: What ``migrate`` fills on each shard by itself, so that each has all of it.
FILLED_BY_MIGRATE = {"contenttypes.contenttype", "auth.permission", "sites.site"}


def install(mode: str) -> None:
    """Declare the models for ``mode`` (``plain``, ``reference``, ``sharded``, ``redshift``) before they are loaded."""
    if mode == "redshift":
        _redshift()
    elif mode == "reference":
        declare_by_default(_reference)
    elif mode == "sharded":
        declare_by_default(_sharded)
        class_prepared.connect(_loosen_foreign_keys)
        InsertRouter._insert_sharded = _numbered(InsertRouter._insert_sharded)
        check_conflicts = inserts.check_conflicts
        # A number of the counter is in no row's way, as one that a shard gives is not.
        inserts.check_conflicts = lambda query, *rest: check_conflicts(getattr(query, "unnumbered", query), *rest)
        # One counter for all shards: no id repeats.
        Placement.pk_repeats = False


def count_once() -> None:
    """Log a statement once that several shards run, a federated query once, and what runs first not at all, to see
    whether a test fails by its counts alone.
    """
    run_all, execute_copies = Run.all, InsertRouter._execute_copies

    def counted_all(self: Run[Any]) -> Any:
        with ExitStack() as stack:
            for connection in list(self.connections.values())[1:]:
                stack.enter_context(logged_by_shard_only(connection))
            return run_all(self)

    def uncounted_copies(self: InsertRouter, query: Any, connection: Any) -> None:
        with logged_by_shard_only(connection):
            execute_copies(self, query, connection)

    fill_whole = select.fill

    def counted_fill(private: Any, pulls: list[Any], limit: int) -> Any:
        counts = fill_whole(private, pulls[:1], limit)
        with ExitStack() as stack:
            for connection in connections.all(initialized_only=True):
                stack.enter_context(logged_by_shard_only(connection))
            return counts | fill_whole(private, pulls[1:], limit)

    ask = steps.rows_of

    def uncounted_step(query: Any) -> Iterator[Any]:
        with ExitStack() as stack:
            for connection in connections.all(initialized_only=True):
                stack.enter_context(logged_by_shard_only(connection))
            return iter(list(ask(query)))

    Run.all, InsertRouter._execute_copies, select.fill = counted_all, uncounted_copies, counted_fill
    steps.rows_of = units.rows_of = attached.rows_of = uncounted_step


def _redshift() -> None:
    """Declare all constraints, which the tests look for; keys are small enough for every kind of automatic field."""
    Storage.__init__.__kwdefaults__["declare"] = DECLARABLE
    numbers = itertools.cycle(range(1, 32_000))
    redshift.new_keys = lambda connection, count: list(itertools.islice(numbers, count))
    redshift.BigAutoField = redshift.AutoField


def _reference(model: type[Model]) -> Declaration | None:
    label = model._meta.label_lower
    return None if label in OWN_TABLES else Declaration(label, "default", "reference")


def _sharded(model: type[Model]) -> Declaration | None:
    label = model._meta.label_lower
    if label in OWN_TABLES | FILLED_BY_MIGRATE:
        return _reference(model)
    if model._meta.auto_created:
        # What relates two models has the key of the first, as a table of one's own between them would.
        key = next((field.name,) for field in model._meta.local_fields if field.is_relation)
    else:
        key = tuple(field.name for field in model._meta.pk_fields)
    return Declaration(label, "default", "sharded", key)


def _loosen_foreign_keys(sender: type[Model], **kwargs: Any) -> None:
    """No shard can enforce a foreign key to a row that may be elsewhere: all but those that are the primary key."""
    for field in sender._meta.local_fields:
        if isinstance(field, ForeignKey) and not (field.primary_key and field.remote_field.field_name is None):
            field.db_constraint = False


def _numbered(insert: Any) -> Any:
    """INSERT with automatic keys of one counter for all shards, where the database would have numbered the rows."""

    def insert_numbered(self: InsertRouter, placement: Placement, returning_fields: Any) -> Any:
        pk = placement.model._meta.auto_field
        if pk is None or pk in self.query.fields:
            return insert(self, placement, returning_fields)
        original = self.query
        self.query = original.clone()
        self.query.unnumbered = original
        self.query.fields = [pk, *original.fields]
        first = _next_number(self.logical, placement.model)
        for number, obj in enumerate(self.query.objs, start=first):
            setattr(obj, pk.attname, number)
        try:
            return insert(self, placement, returning_fields)
        finally:
            # Whether instances learn their keys is for Django to say, from the rows returned.
            for obj in original.objs:
                setattr(obj, pk.attname, None)

    return insert_numbered


def _next_number(logical: Any, model: type[Model]) -> int:
    """One more than any shard has ever given out, as SQLite's AUTOINCREMENT counts; rolled back with the rows."""
    highest = 0
    for shard in logical.group.shard_names:
        connection = logical.shard_connection(shard)
        connection.ensure_connection()
        # Past Django's cursor: the counter is no query of the test's.
        sql = "SELECT seq FROM sqlite_sequence WHERE name = ?"
        row = connection.connection.execute(sql, [model._meta.db_table]).fetchone()
        highest = max(highest, row[0] if row else 0)
    return highest + 1
