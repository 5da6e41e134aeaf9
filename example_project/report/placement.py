"""Which shard holds what: by the mapping, and by asking each shard itself."""

from __future__ import annotations

from collections.abc import Iterable

from django.conf import settings

from horizon_shards.context import using_shard
from horizon_shards.topology import get_group
from track.models import PageView

DATABASE = "track"


def shard_names() -> tuple[str, ...]:
    """The shards in the order of the settings; the one database itself where there are no shards."""
    return get_group(DATABASE).shard_names if settings.SHARDED else (DATABASE,)


def shards_of(site_ids: Iterable[int]) -> dict[int, str]:
    """The shard of each website, without asking any of them; websites that no shard knows yet are left out."""
    ids = list(site_ids)
    if not settings.SHARDED:
        return dict.fromkeys(ids, DATABASE)
    return {site: shard for site, shard in get_group(DATABASE).mapping.resolve_many(ids).items() if shard}


def stored_views() -> dict[str, int]:
    """How many page views each shard holds, counted on the shard."""
    if not settings.SHARDED:
        return {DATABASE: PageView.objects.count()}
    return {name: _count_on(name) for name in shard_names()}


def _count_on(shard: str) -> int:
    with using_shard(shard, database=DATABASE):
        return PageView.objects.count()
