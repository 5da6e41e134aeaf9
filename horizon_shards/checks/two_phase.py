"""Checks of ``TRANSACTIONS = "two_phase"``: whether the shards can prepare transactions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from django.core.checks import CheckMessage
from django.db import Error, connections

from horizon_shards.backends.sharded.twophase.branches import BRANCHES
from horizon_shards.checks.catalogue import problem
from horizon_shards.checks.engines import vendor_of
from horizon_shards.checks.mapping import readable_groups
from horizon_shards.conf import GroupConfig

#: What says that a COMMIT is answered only when a replica has received it, or (Aurora) that all read one storage.
WAITING: Final = (
    "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('rpl_semi_sync_master_enabled', 'rpl_semi_sync_source_enabled') "
    "AND Value = 'ON' OR Variable_name = 'aurora_version'"
)


def check_engines(config: GroupConfig) -> Iterator[CheckMessage]:
    """Whether the engine of the shards has prepared transactions at all."""
    if config.transactions != "two_phase":
        return
    for shard in config.shards:
        if (vendor := vendor_of(shard.primary)) not in BRANCHES:
            yield problem(
                "E120",
                f"DATABASES[{config.alias!r}]['TRANSACTIONS'] is 'two_phase', and {vendor} ({shard.primary!r}) cannot "
                "prepare a transaction.",
                hint="Set it to 'best_effort' or 'single', or store the shards in MySQL, MariaDB or PostgreSQL.",
            )
            return


def check_prepared_transactions(*, databases: Sequence[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Whether servers prepare, and keep what they prepared: asks those behind the logical aliases that are named."""
    wanted = set(databases or ())
    configs = [group.config for group in readable_groups() if group.alias in wanted]
    asked = [config for config in configs if config.transactions == "two_phase"]
    return [message for config in asked for message in (*_refusing(config), *_forgetting(config))]


def _refusing(config: GroupConfig) -> Iterator[CheckMessage]:
    aliases = [shard.primary for shard in config.shards]
    refusing = [alias for alias in aliases if vendor_of(alias) == "postgresql" and _most(alias) == 0]
    if refusing:
        yield problem(
            "E121",
            f"max_prepared_transactions is 0 on the servers of {', '.join(map(repr, refusing))}: no transaction of "
            f"{config.alias!r} that writes to two shards could commit.",
            hint="Set it to max_connections in postgresql.conf (on RDS: in the parameter group) and restart them.",
        )


def _forgetting(config: GroupConfig) -> Iterator[CheckMessage]:
    forgetting = [shard.primary for shard in config.shards if _may_forget(shard.primary)]
    if forgetting:
        yield problem(
            "W125",
            f"The primaries of {', '.join(map(repr, forgetting))} answer before a replica has what they prepared: a "
            f"failover can leave a transaction of {config.alias!r} on some of its shards and not on others.",
            hint="Replicate semi-synchronously: rpl_semi_sync_master_enabled, on MySQL rpl_semi_sync_source_enabled.",
        )


def _may_forget(alias: str) -> bool:
    """Whether another server may take the primary's place without all that it had acknowledged."""
    instances = connections.settings[alias].get("CLUSTER", {}).get("INSTANCES", ())
    if vendor_of(alias) != "mysql" or len(instances) < 2:
        return False
    try:
        with connections[alias].cursor() as cursor:
            cursor.execute(WAITING)
            return not cursor.fetchall()
    except Error:
        return False


def _most(alias: str) -> int | None:
    """How many transactions can be prepared at once; None where the server does not answer, which W112 tells."""
    try:
        with connections[alias].cursor() as cursor:
            cursor.execute("SHOW max_prepared_transactions")
            return int(cursor.fetchone()[0])
    except Error:
        return None
