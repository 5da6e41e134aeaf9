"""The tables themselves, read and written behind the back of the sharded backend."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from django.db import connections, transaction
from django.db.models import Model

from horizon_shards.declarations import declared_models
from horizon_shards.ids import bucket_of_id
from horizon_shards.topology import get_group
from tests.properties.route import UNSHARDED, asking
from tests.shop.models import Account, Country, Invoice, Order, Tag, Tagging, Ticket, Visit, Visitor

#: The plain database that is right by definition, the logical one that is tested, and what stores its shards.
ORACLE = "oracle"
LOGICAL = "track"
SHARDS = {f"track-{number}": f"track_{number}" for number in (1, 2, 3, 4)}

#: Parents first.
MODELS: tuple[type[Model], ...] = (Country, Visitor, Tag, Visit, Tagging, Invoice, Ticket, Account, Order)
Contents = dict[str, Counter[tuple[Any, ...]]]


def create_missing(alias: str) -> None:
    """Create the tables of the group that ``alias`` does not have yet, whatever the router says."""
    connection = connections[alias]
    present = set(connection.introspection.table_names())
    for model in (*UNSHARDED, *declared_models(LOGICAL)):
        # Creating a model creates its automatic many-to-many tables, too.
        if model._meta.db_table not in present and not model._meta.auto_created:
            with connection.schema_editor() as editor:
                editor.create_model(model)


def insert_plainly(alias: str, model: type[Model], instances: Sequence[Any]) -> None:
    """Insert the instances with the primary keys that they have, and leave their state alone."""
    copies = [model(**{f.attname: getattr(instance, f.attname) for f in model._meta.fields}) for instance in instances]
    with asking(alias):
        model._base_manager.using(alias).bulk_create(copies)


def contents(alias: str) -> Contents:
    """All rows of all tables of one physical database, as they are stored."""
    connection = connections[alias]
    found = {}
    for model in MODELS:
        names = ", ".join(connection.ops.quote_name(f.column) for f in model._meta.fields if f.column)
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {names} FROM {connection.ops.quote_name(model._meta.db_table)}")
            found[model.__name__] = Counter(tuple(map(_hashable, row)) for row in cursor.fetchall())
    return found


def contents_of_shards() -> tuple[Contents, list[str]]:
    """The rows of all shards together, and what is wrong with where they are."""
    parts = {shard: contents(alias) for shard, alias in SHARDS.items()}
    problems = [
        f"Country differs between {first!r} and {shard!r}"
        for first in list(parts)[:1]
        for shard in parts
        if parts[shard]["Country"] != parts[first]["Country"]
    ]
    total: Contents = {}
    for model in MODELS:
        if model is Country:
            total[model.__name__] = next(iter(parts.values()))[model.__name__]
        else:
            total[model.__name__] = sum((part[model.__name__] for part in parts.values()), Counter())
    return total, problems + list(_misplaced(parts))


def shard_of(model: type[Model], key: Any) -> str | None:
    """The shard of a shard key of ``model``, from the mapping alone."""
    mapping = get_group(LOGICAL).mapping
    carried = bucket_of_id(key) if model in (Account, Order) else None
    return mapping.shard_of_bucket(mapping.bucket(key) if carried is None else carried)


def _misplaced(parts: dict[str, Contents]) -> Iterator[str]:
    for model in MODELS[1:]:
        name = {Account: "id", Order: "account_id"}.get(model, "site_id")
        place = [f.attname for f in model._meta.fields if f.column].index(name)
        for shard, part in parts.items():
            for key in {row[place] for row in part[model.__name__]}:
                if shard_of(model, key) != shard:
                    yield f"{model.__name__} of key {key!r} is on {shard!r}, its shard is {shard_of(model, key)!r}"


def _hashable(value: Any) -> Any:
    return repr(value) if isinstance(value, (dict, list)) else value


@contextmanager
def undone(aliases: Sequence[str] = (LOGICAL, ORACLE)) -> Iterator[None]:
    """Run the block in transactions of both sides that are always rolled back."""
    with ExitStack() as stack:
        for alias in aliases:
            stack.enter_context(transaction.atomic(using=alias))
        try:
            yield
        finally:
            for alias in aliases:
                transaction.set_rollback(True, using=alias)


def empty() -> None:
    """Delete every row of every table, children first."""
    for alias in (*SHARDS.values(), ORACLE):
        for model in reversed(MODELS):
            with connections[alias].cursor() as cursor:
                cursor.execute(f"DELETE FROM {connections[alias].ops.quote_name(model._meta.db_table)}")
    for alias in ("default", ORACLE):
        for model in UNSHARDED:
            with connections[alias].cursor() as cursor:
                cursor.execute(f"DELETE FROM {model._meta.db_table}")
