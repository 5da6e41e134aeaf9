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
#: ``shards``: the names written to; ``outcome``: ``"committed"``, ``"rolled_back"`` or ``"partial"``.
cross_shard_transaction = Signal()

#: A new key was given its shard. ``sender``: the logical alias; ``key``, ``shard``.
key_allocated = Signal()

#: A sharded write committed by itself while an ``atomic()`` block of another alias was open.
#: ``sender``: the logical alias; ``alias``: the other one; ``shards``.
autocommit_in_foreign_atomic = Signal()
