"""Values that every statement makes anew, in writes to all copies of a reference row: the copies must not differ."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db.models import DateTimeField, JSONField, Model, Value
from django.db.models.functions import Now
from django.db.models.sql import Query
from django.db.models.sql.constants import SINGLE

from horizon_shards.backends.sharded.walk import Contents, contents_of
from horizon_shards.exceptions import QueryNotSupported


def refuse_volatile(field: Any, value: Any) -> None:
    """Raise where each shard would store a value of its own for a reference row."""
    for node in _volatile_in([(field, None, value)]):
        raise _refusal(node, f"the reference model's {field.model._meta.label}.{field.name}")


def check_volatile(query: Query, contents: Contents) -> None:
    """Raise where a write to all copies holds what cannot be computed once for all of them."""
    here = [node for node in _nodes(query, contents) if not isinstance(node, Now)]
    for node in (*here, *_below(contents)):
        raise _refusal(node, f"a write to the reference model {query.get_meta().label}")


def _nodes(query: Any, contents: Contents) -> list[Any]:
    """What is volatile in a write itself: its condition, its values, those of the models it inherits from."""
    related = getattr(query, "related_updates", {})
    return [*contents.volatile, *(node for values in related.values() for node in _volatile_in(values))]


def _below(contents: Contents) -> Iterator[Any]:
    """What is volatile in nested queries."""
    for nested in contents.nested:
        inner = contents_of(nested.query)
        yield from inner.volatile
        yield from _below(inner)


def _volatile_in(values: Any) -> Iterator[Any]:
    contents = Contents()
    for _field, _model, value in values:
        if hasattr(value, "get_source_expressions"):
            contents.take(value, None, False)
    yield from contents.volatile


def _refusal(node: Any, where: str) -> QueryNotSupported:
    return QueryNotSupported(
        f"{type(node).__name__}() in {where} would give every shard another value: compute it in Python "
        "(timezone.now()).",
        reason="volatile",
    )


def with_one_time(query: Any, connection: Any) -> Any:
    """The write with the time of one shard instead of ``Now()``; the query itself where it names none."""
    nodes = _nodes(query, contents_of(query))
    if not nodes:
        return query
    times = dict.fromkeys(nodes, Value(_time_of(connection), output_field=DateTimeField()))
    changed = query.clone()
    changed.where = changed.where.replace_expressions(times)
    if hasattr(query, "related_updates"):
        changed.values = _replaced(query.values, times)
        changed.related_updates = {model: _replaced(values, times) for model, values in query.related_updates.items()}
        changed.related_ids = query.related_ids
    return changed


def _replaced(values: Any, times: dict[Any, Value]) -> list[Any]:
    return [
        (field, model, value.replace_expressions(times) if hasattr(value, "replace_expressions") else value)
        for field, model, value in values
    ]


def _time_of(connection: Any) -> Any:
    query = Query(None)
    query.add_annotation(Now(), "now")
    compiler = query.get_compiler(connection=connection)
    row = compiler.execute_sql(SINGLE)
    (values,) = compiler.results_iter([[row]])
    return values[0]


def is_computed(value: Any) -> bool:
    """Whether the database makes the value; a constant has no other on the next shard, and stays as it is written."""
    return hasattr(value, "resolve_expression") and not isinstance(value, Value)


def take_over(obj: Model, field: Any, value: Any) -> None:
    """Set what the first shard made."""
    given = getattr(obj, field.attname)
    if isinstance(given, Value):
        return
    if value is None and given is not None and isinstance(field, JSONField):
        raise QueryNotSupported(
            f"What the database made of {field} is read as None, which may be NULL or JSON's null: the copies "
            "of the row could differ. Give the value itself: None, or Value(None, JSONField()).",
            reason="volatile",
        )
    setattr(obj, field.attname, value)
