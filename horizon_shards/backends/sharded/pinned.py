"""What a ``using_shard()`` block may not write: one copy of what every shard holds alike."""

from __future__ import annotations

from django.db.models import Model

from horizon_shards import context
from horizon_shards.exceptions import QueryNotSupported
from horizon_shards.placement import placement_of


def check_pinned_write(model: type[Model], shard: str) -> None:
    """Raise where the write would make the copies of a reference model differ."""
    if context.may_change_one_copy():
        return
    placement = placement_of(model)
    if placement is None or placement.sharded:
        return
    raise QueryNotSupported(
        f"using_shard({shard!r}) is in force, and {model._meta.label} is a reference model: writing to it here would "
        "change the copy of this shard alone, and reads ask any of them. Write outside of the block, where all copies "
        "change; or, to do the same on every shard, inside horizon_shards.context.allow_one_copy().",
        reason="reference-write",
    )
