"""What happens on the shards, told to whoever listens; lower floors log nothing themselves."""

from __future__ import annotations

from django.dispatch import Signal

#: A query is about to run. ``sender``: the model; ``plan``: a :class:`~horizon_shards.backends.sharded.plan.Plan`.
query_planned = Signal()

#: A query was federated: no shard could answer it, so rows were gathered. ``sender``: the model; ``plan``;
#: ``rows``: how many by table.
query_federated = Signal()

#: A shard answered with an error. ``sender``: the logical alias; ``shard``, ``error``.
shard_failed = Signal()

#: A transaction that wrote to more than one shard ended. ``sender``: the logical alias;
#: ``shards``: the names written to; ``outcome``: ``"committed"``, ``"rolled_back"``, ``"partial"``, ``"in_doubt"``, or
#: ``"unknown"`` where the first COMMIT raised: that shard may have committed, the others are rolled back.
cross_shard_transaction = Signal()

#: A transaction in two phases is committed, and some shards have not heard of it: what they have prepared is not
#: seen there until ``shards recover`` has run. ``sender``: the logical alias; ``gid``; ``errors``: by shard.
commit_pending = Signal()

#: A new key was given its shard. ``sender``: the logical alias; ``key``, ``shard``.
key_allocated = Signal()

#: A sharded write committed by itself while an ``atomic()`` block of another alias was open.
#: ``sender``: the logical alias; ``alias``: the other one; ``shards``.
autocommit_in_foreign_atomic = Signal()

#: A sink handed on a batch. ``sender``: the sink; ``stream``, ``records`` (a count), ``seconds``.
sink_delivered = Signal()

#: A sink could not hand on (all of) a batch, and will try again. ``sender``: the sink; ``stream``, ``records`` (a
#: count; 0: what it had spilled cannot be read, or not be deleted), ``error``.
sink_failed = Signal()

#: Records that their database will never take. ``sender``: the sink; ``lines`` (of JSON), ``error``.
records_rejected = Signal()

#: One of the two caches of a :class:`~horizon_shards.cache.DoubleCache` failed. ``alias``, ``error``.
cache_failed = Signal()

#: A cache that had missed writes has been emptied, and is read again. ``alias``.
cache_healed = Signal()

#: A try of a task's message did not succeed; it comes back, or goes to the dead-letter queue. ``sender``: the class of
#: the backend; ``queue`` (its name), ``message_id``, ``tries`` (this one included), ``error``.
queue_try_failed = Signal()
