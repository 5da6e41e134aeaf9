"""What an UPDATE may not change."""

from __future__ import annotations

from typing import Any

from django.db.models import Model
from django.db.models.expressions import Col

from horizon_shards.backends.sharded.walk import conjuncts, is_equality
from horizon_shards.exceptions import QueryNotSupported, ShardKeyUpdate
from horizon_shards.placement import Placement


def check_update(query: Any, placement: Placement) -> None:
    """Raise where an UPDATE would change a shard key or a sharded id, or rows of a parent model.

    Setting the key to the value that the condition names (as saving an instance does) changes nothing.
    """
    if placement.sharded and query.related_updates:
        raise QueryNotSupported(
            f"Updating columns that {placement.model._meta.label} inherits from a parent model that has a table is "
            "not supported over shards (check horizon_shards.E210): update the parent model.",
            reason="inheritance",
        )
    for field, _model, value in query.values if placement.sharded else ():
        if field in placement.key and not _is_named(query, field, value, placement):
            raise ShardKeyUpdate(
                f"{placement.model._meta.label}.{field.name} is the shard key: updating it would leave the row on the "
                "wrong shard. Use horizon_shards.models.move_row(instance, ...), or delete and create."
            )
        if getattr(field, "carries_bucket", False) and field not in placement.key:
            raise ShardKeyUpdate(
                f"{placement.model._meta.label}.{field.name} is a sharded id, which carries the bucket of its row: it "
                "cannot be updated."
            )


def _is_named(query: Any, field: Any, value: Any, placement: Placement) -> bool:
    if hasattr(value, "resolve_expression"):
        return False
    if isinstance(value, Model):
        value = value.prepare_database_save(field)
    try:
        wanted = field.target_field.to_python(value) if field.is_relation else field.to_python(value)
    except Exception:  # whatever to_python makes of a wrong value, it is not the named one
        return False
    return any(
        is_equality(leaf)
        and isinstance(leaf.lhs, Col)
        and leaf.lhs.target == field
        and not hasattr(leaf.rhs, "resolve_expression")
        and leaf.rhs == wanted
        for leaf in conjuncts(query.where)
    )
