"""How shards share buckets and new keys by weight; frozen, since several processes must agree."""

from __future__ import annotations

import math
from collections.abc import Sequence

from horizon_shards.mapping.base import MappingShard
from horizon_shards.mapping.hashing import hash64


def contiguous(shards: Sequence[MappingShard], *, buckets: int) -> tuple[str, ...]:
    """The shard of each bucket: one run of buckets a shard, in the order given, as long as its weight says.

    Runs and not turns: people can read and halve a run, and no shard is off its share by a whole bucket.
    """
    total = sum(shard.weight for shard in shards)
    table: list[str] = []
    weight = 0
    for shard in shards:
        weight += shard.weight
        table.extend([shard.name] * (weight * buckets // total - len(table)))
    return tuple(table)


def permuted(table: Sequence[str], *, seed: bytes) -> tuple[str, ...]:
    """The same shards for as many buckets each, in an order that ``seed`` decides."""
    order = sorted(range(len(table)), key=lambda bucket: hash64(seed + b"%d" % bucket))
    return tuple(table[bucket] for bucket in order)


def rendezvous(data: bytes, shards: Sequence[MappingShard]) -> str:
    """The shard that wins ``data`` by weighted rendezvous hashing (highest random weight).

    Adding or removing a shard changes the winner only where that shard wins or won.
    Source: Thaler and Ravishankar 1998; weights by Schindelhauer and Schomaker 2005.
    """
    return max(shards, key=lambda shard: (_score(data, shard), shard.name)).name


def _score(data: bytes, shard: MappingShard) -> float:
    name = shard.name.encode("utf-8")
    drawn = hash64(len(name).to_bytes(2, "big") + name + data) >> 12
    # 52 bits and a half: exact in a float, and never 0 or 1, whose logarithms would be of no use.
    return -shard.weight / math.log((drawn + 0.5) / 2**52)
