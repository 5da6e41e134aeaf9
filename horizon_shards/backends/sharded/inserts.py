"""INSERT: each row to the shard of its key, a reference row to all shards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import Model
from django.db.models.constants import OnConflict

from horizon_shards import context
from horizon_shards.backends.sharded.conflicts import KeyOfUpsert, check_conflicts
from horizon_shards.backends.sharded.execute import run_on_shards
from horizon_shards.backends.sharded.pinned import check_pinned_write
from horizon_shards.backends.sharded.plan import Mode, Plan
from horizon_shards.backends.sharded.querylog import logged_as_one
from horizon_shards.backends.sharded.single import SingleShard, build, mixed
from horizon_shards.backends.sharded.tables import Tables
from horizon_shards.backends.sharded.volatile import is_computed, refuse_volatile, take_over
from horizon_shards.backends.sharded.walk import Contents
from horizon_shards.exceptions import InvalidShardKey, MisplacedRow, QueryNotSupported
from horizon_shards.placement import Placement, placement_of
from horizon_shards.signals import query_planned


class InsertRouter:
    """Stands for the INSERT compiler: groups the objects by shard and runs Django's compiler on each."""

    def __init__(self, query: Any, connection: Any, elide_empty: bool) -> None:
        self.query = query
        self.logical = connection
        self.elide_empty = elide_empty

    def execute_sql(self, returning_fields: Any = None) -> list[Any]:
        """Insert; the returned rows are in the order of the objects."""
        model = self.query.get_meta().concrete_model
        placement = placement_of(model)
        if placement is None or placement.database != self.logical.alias:
            return self._insert_elsewhere(model, returning_fields)
        if placement.sharded:
            return self._insert_sharded(placement, returning_fields)
        return self._insert_reference(placement, returning_fields)

    def _insert_elsewhere(self, model: type[Model], returning_fields: Any) -> list[Any]:
        """A model that does not live here: to the pinned shard, if the caller says so."""
        shard = context.pinned_shard(self.logical.alias)
        if shard is None:
            raise QueryNotSupported(
                f"{model._meta.label} does not live in {self.logical.alias!r}: leave using({self.logical.alias!r}) "
                "out, or declare where the model lives by a class Sharding.",
                reason="foreign-model",
            )
        return self._insert_on(shard, self.query, returning_fields, "using_shard() pins the block")

    # Sharded rows.

    def _insert_sharded(self, placement: Placement, returning_fields: Any) -> list[Any]:
        check_conflicts(self.query, placement)
        check_values(self.query, self.logical.alias)
        by_shard = self._group_by_shard(placement)
        if len(by_shard) == 1:
            (shard,) = by_shard
            return self._insert_on(shard, self.query, returning_fields, "all rows have keys of one shard")
        return self._insert_on_many(by_shard, returning_fields)

    def _group_by_shard(self, placement: Placement) -> dict[str, list[int]]:
        """The positions of the objects by shard, after checking each against its key."""
        keys = [key_for_insert(placement, obj) for obj in self.query.objs]
        for key, obj in zip(keys, self.query.objs, strict=True):
            check_ids(placement, key, obj)
        shards = placement.place(list(dict.fromkeys(keys)))
        by_shard: dict[str, list[int]] = {}
        for position, key in enumerate(keys):
            by_shard.setdefault(shards[key], []).append(position)
        self._check_pin(placement, by_shard)
        return by_shard

    def _check_pin(self, placement: Placement, by_shard: dict[str, list[int]]) -> None:
        pinned = context.pinned_shard(self.logical.alias)
        wrong = [shard for shard in by_shard if pinned is not None and shard != pinned]
        if wrong:
            raise MisplacedRow(
                f"using_shard({pinned!r}) is in force, but the key of a {placement.model._meta.label} row belongs to "
                f"{wrong[0]!r}: insert it outside of the block."
            )

    def _insert_on(self, shard: str, query: Any, returning_fields: Any, why: str) -> list[Any]:
        plan = self._plan("single", (shard,), why)
        compiler = build(SingleShard, "SQLInsertCompiler", query, self.logical, plan, None, self.elide_empty)
        rows: list[Any] = compiler.execute_sql(returning_fields)
        return rows

    def _insert_on_many(self, by_shard: dict[str, list[int]], returning_fields: Any) -> list[Any]:
        shards = self.logical.group.ordered(by_shard)
        query_planned.send(
            sender=self.query.model, plan=self._plan("scatter", shards, f"the rows have keys of {len(shards)} shards")
        )
        queries = {shard: self._part([self.query.objs[i] for i in by_shard[shard]]) for shard in shards}
        with transaction.atomic(using=self.logical.alias, savepoint=False):
            answers = self._run(queries, partial(self._execute, returning_fields=returning_fields))
        rows: list[Any] = [None] * len(self.query.objs)
        for shard, answer in zip(shards, answers, strict=True):
            for position, row in zip(by_shard[shard], answer, strict=False):
                rows[position] = row
        return rows if all(row is not None for row in rows) else []

    def _run(self, queries: dict[str, Any], execute: Callable[[Any, Any], Any]) -> list[Any]:
        def job(shard: str, connection: Any) -> Any:
            self.logical.begin(shard)
            return execute(queries[shard], connection)

        return run_on_shards(self.logical.group, self.logical.enlist(queries, write=True), job)

    def _execute(self, query: Any, connection: Any, returning_fields: Any) -> list[Any]:
        compiler = connection.ops.compiler("SQLInsertCompiler")
        if connection.vendor == "mysql" and not connection.features.can_return_columns_from_insert:
            compiler = mixed(KeyOfUpsert, compiler)
        rows: list[Any] = compiler(query, connection, connection.alias, self.elide_empty).execute_sql(returning_fields)
        return rows

    def _part(self, objs: Sequence[Model]) -> Any:
        query = self.query.clone()
        query.objs = list(objs)
        return query

    def _plan(self, mode: Mode, shards: tuple[str, ...], why: str) -> Plan:
        return Plan(self.logical.alias, self.query.get_meta().label, "insert", mode, shards, why)

    # Reference rows.

    def _insert_reference(self, placement: Placement, returning_fields: Any) -> list[Any]:
        """Insert on the first shard, then the very same rows, automatic keys included, on the others."""
        pinned = context.pinned_shard(self.logical.alias)
        if pinned is not None:
            check_pinned_write(placement.model, pinned)
            return self._insert_on(pinned, self.query, returning_fields, "using_shard() pins the block")
        first, *others = self.logical.group.shard_names
        plan = self._plan("all", self.logical.group.shard_names, "a reference model is written everywhere")
        query_planned.send(sender=self.query.model, plan=plan)
        taken = {shard: self.logical.shard_connection(shard) for shard in plan.shards}
        with transaction.atomic(using=self.logical.alias, savepoint=False), logged_as_one(taken):
            rows, copies = self._insert_first(first, placement, returning_fields)
            if others and copies.objs:
                self._run(dict.fromkeys(others, copies), self._execute_copies)
        return rows

    def _insert_first(self, shard: str, placement: Placement, returning_fields: Any) -> tuple[list[Any], Any]:
        connection = self.logical.enter(shard, write=True)
        wanted = list(returning_fields or ())
        pk = placement.model._meta.auto_field
        fields = wanted if pk is None or pk in self.query.fields or pk in wanted else [pk, *wanted]
        if connection.features.can_return_columns_from_insert:
            fields = [*fields, *(field for field in self._computed_fields() if field not in fields)]
        if not fields:
            return self._execute(self.query, connection, None), self._copies(self.query.objs, [])
        answers = self._execute_returning(connection, fields)
        # A row that the first shard leaves out (ignore_conflicts) is left out everywhere.
        stored = [(_twin(obj), row) for obj, row in zip(self.query.objs, answers, strict=True) if row is not None]
        for obj, row in stored:
            # An engine that returns no columns tells the automatic key alone.
            for field, value in zip(fields, row, strict=False):
                take_over(obj, field, value)
        positions = [fields.index(field) for field in wanted]
        rows = [tuple(row[i] for i in positions if i < len(row)) for _, row in stored]
        more = [field for field in fields if field not in self.query.fields and not getattr(field, "generated", False)]
        return rows, self._copies([obj for obj, _ in stored], more)

    def _computed_fields(self) -> list[Any]:
        """Fields whose value the database computes, for a row or for all."""
        return [
            field
            for field in self.query.fields
            if any(is_computed(getattr(obj, field.attname)) for obj in self.query.objs)
        ]

    def _execute_returning(self, connection: Any, fields: list[Any]) -> list[Any]:
        """What the database made of each object, in one statement where it tells; None for one that it ignored."""
        ignoring = self.query.on_conflict == OnConflict.IGNORE
        if connection.features.can_return_rows_from_bulk_insert and not ignoring:
            return self._execute(self.query, connection, fields)
        answers = [self._execute(self._part([obj]), connection, fields) for obj in self.query.objs]
        rows = [answer[0] if answer else None for answer in answers]
        # MySQL's LAST_INSERT_ID() of an ignored row.
        return [None if ignoring and row is not None and row[0] == 0 else row for row in rows]

    def _execute_copies(self, query: Any, connection: Any) -> None:
        """Insert the copies, which have the key as one parameter more than the caller's batch was made for."""
        size = max(1, connection.ops.bulk_batch_size(query.fields, query.objs))
        for start in range(0, len(query.objs), size):
            part = query.clone()
            part.objs = query.objs[start : start + size]
            self._execute(part, connection, None)

    def _copies(self, objs: Sequence[Model], more_fields: list[Any]) -> Any:
        """The query for the other shards: raw, so that each value is the one the first shard got."""
        query = self._part(objs)
        query.fields = [*more_fields, *self.query.fields]
        query.raw = True
        for obj in objs:
            for field in query.fields:
                refuse_volatile(field, getattr(obj, field.attname))
        return query


def _twin(obj: Model) -> Model:
    """A copy of the instance; ``copy.copy()`` would look a historical model up among the installed ones."""
    twin = obj.__class__.__new__(obj.__class__)
    twin.__dict__.update(obj.__dict__)
    return twin


def key_for_insert(placement: Placement, obj: Model) -> Any:
    """The key of a row to insert, in canonical type; raises ``InvalidShardKey`` naming field and value."""
    values = [getattr(obj, field.attname) for field in placement.key]
    key = placement.convert(values)
    if key is None:
        names = ", ".join(f"{field.name}={value!r}" for field, value in zip(placement.key, values, strict=True))
        raise InvalidShardKey(
            f"{placement.model._meta.label} cannot be stored with the shard key {names}: the key decides the shard, so "
            "it must have a value of the field's type before saving."
        )
    return key


def check_ids(placement: Placement, key: Any, obj: Model) -> None:
    """Raise ``MisplacedRow`` where a sharded id carries another bucket than the key's."""
    for field in placement.own_ids:
        value = getattr(obj, field.attname)
        if value is not None and field.bucket_of(value) != placement.bucket_of_key(key):
            raise MisplacedRow(
                f"{placement.model._meta.label}.{field.name} = {value!r} is not an id of the shard key {key!r}: it "
                "carries another bucket, or none. Leave the id out, so that it is made from the key."
            )


def check_values(query: Any, database: str) -> None:
    """Raise where a value to insert is asked of rows that other shards may hold."""
    contents = Contents()
    for obj in query.objs:
        for field in query.fields:
            if hasattr(value := getattr(obj, field.attname), "resolve_expression"):
                contents.take(value, None, False)
    if contents.raw or any(Tables(nested.query, database).sharded for nested in contents.nested):
        raise QueryNotSupported(
            f"A value of the {query.get_meta().label} to insert is a subquery or raw SQL, which would see the rows of "
            "one shard only. Fetch the value first and insert it.",
            reason="subquery",
        )
