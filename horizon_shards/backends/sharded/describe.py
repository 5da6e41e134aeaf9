"""The plan of a queryset with the SQL of each step, without running anything."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db.models import QuerySet
from django.db.models.sql.constants import GET_ITERATOR_CHUNK_SIZE

from horizon_shards.backends.sharded.combined import ScatterCombined
from horizon_shards.backends.sharded.elsewhere import with_pending
from horizon_shards.backends.sharded.federation.select import Federated, federated
from horizon_shards.backends.sharded.gather import Rehearsed, RowsOfShards, statement_of
from horizon_shards.backends.sharded.plan import Merge, Plan, Statement
from horizon_shards.backends.sharded.single import OneShard
from horizon_shards.backends.sharded.stepped import SteppedCompiler
from horizon_shards.backends.sharded.steps import compiler_of
from horizon_shards.exceptions import QueryNotSupported
from horizon_shards.topology import get_group


def plan(queryset: QuerySet[Any, Any]) -> Plan:
    """Where a queryset of a logical database would go, and with which SQL; no row of it is read.

    The SQL is in ``statements``, in the order in which it would run: one on several shards at once, one a part of a set
    operation, one a query that another needs first, one a table that federation would gather. ``merge.steps`` says how
    the answers become one, ``why`` why it is so. ``print()`` shows all of it.

    Raises what running the queryset would: :class:`~horizon_shards.exceptions.QueryNotSupported` where it is refused,
    and ``ConfigurationError`` where its database is no logical one. A directory may be asked where keys are,
    and a server for its collation.
    """
    get_group(queryset.db)
    query = queryset.query.clone()
    # A lock would need the transaction that it is for.
    query.select_for_update = False
    return _describe(query.get_compiler(using=queryset.db))


def _describe(compiler: Any) -> Plan:
    try:
        return _described(compiler)
    except QueryNotSupported as refusal:
        if isinstance(compiler, Federated):
            raise
        return _federation(federated(refusal, compiler.query, compiler.logical, compiler.elide_empty))
    except EmptyResultSet:
        found: Plan = compiler.plan
        return replace(found, mode="none", why="no row can match")


def _described(compiler: Any) -> Plan:
    if isinstance(compiler, Federated):
        return _federation(compiler)
    if isinstance(compiler, SteppedCompiler):
        return _steps(compiler)
    if isinstance(compiler, ScatterCombined):
        return _combination(compiler)
    if isinstance(compiler, RowsOfShards):
        compiler.is_rehearsal = True
        with suppress(Rehearsed):
            compiler.merged_rows(False, GET_ITERATOR_CHUNK_SIZE)
        found: Plan = compiler.plan
        return found
    assert isinstance(compiler, OneShard)
    return replace(compiler.plan, statements=(statement_of(compiler),))


def _combination(compiler: Any) -> Plan:
    compiler.prepare()
    parts = [_describe(part.query.get_compiler(connection=compiler.logical)) for part in compiler.parts]
    found: Plan = compiler.explained()
    return replace(found, statements=tuple(statement for part in parts for statement in part.statements))


def _federation(compiler: Any) -> Plan:
    sql, params = compiler.as_sql()
    try:
        pulls = compiler.pulls(sql, params)
    finally:
        compiler.private.close()
    compilers = [(pull.query.get_compiler(using=pull.alias), pull.alias) for pull in pulls]
    gathered = tuple(statement for compiled in compilers for statement in _statements(*compiled))
    whole = Statement(("the private database",), sql, tuple(params))
    found: Plan = compiler.plan_of(pulls)
    return replace(found, statements=(*gathered, whole))


def _steps(compiler: SteppedCompiler) -> Plan:
    """What runs first, and the rest with a parameter that stands for its answer."""
    first = tuple(statement for step in compiler.steps for statement in _statements(compiler_of(step.query), step.home))
    rest = _describe(compiler.route(with_pending(compiler.query, compiler.steps)))
    merge = Merge((*(f"first: {step}" for step in compiler.steps), *rest.merge.steps))
    return replace(rest, merge=merge, statements=first + rest.statements)


def _statements(compiler: Any, alias: str) -> tuple[Statement, ...]:
    """What a query on any database would run."""
    if hasattr(compiler, "logical"):
        return _describe(compiler).statements
    sql, params = compiler.as_sql()
    return (Statement((alias,), sql, tuple(params)),)
