"""Checks of how many connections the project may open: fewer than its servers take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core.checks import CheckMessage
from django.db import connections

from horizon_shards.checks.catalogue import problem
from horizon_shards.checks.mapping import readable_groups
from horizon_shards.exceptions import ConfigurationError
from horizon_shards.rollout.budget import Budget, ServerBudget, read_budget, servers_of
from horizon_shards.rollout.economy import connections_of


def check_budget(**kwargs: Any) -> list[CheckMessage]:
    """``HORIZON_CONNECTIONS``, and the worst case against the limits that it declares."""
    try:
        budget = read_budget()
    except ConfigurationError as error:
        return [problem("E116", str(error), hint="docs/connections.md lists the keys.")]
    servers = servers_of(budget) if budget else []
    return [_too_many(budget, server, server.limit) for server in servers if budget and _is_over(server, server.limit)]


def check_servers(*, databases: Sequence[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """The worst case against what the servers say, of those whose limit is not declared."""
    try:
        budget = read_budget()
    except ConfigurationError:
        return []  # told by check_budget
    if budget is None:
        return []
    asked = {alias: _limit_of(alias) for alias in _physical(databases or ())}
    found = []
    for server in servers_of(budget):
        limit = next((asked[alias] for alias in server.aliases if asked.get(alias)), None)
        if server.limit is None and _is_over(server, limit):
            found.append(_too_many(budget, server, limit))
    return found


def _physical(databases: Sequence[str]) -> list[str]:
    shards = [shard for group in readable_groups() if group.alias in databases for shard in group.config.shards]
    return [alias for shard in shards for alias in shard.aliases]


def _limit_of(alias: str) -> int | None:
    told = connections_of(connections[alias])
    return None if told is None else told.limit


def _is_over(server: ServerBudget, limit: int | None) -> bool:
    return limit is not None and server.most > limit


def _too_many(budget: Budget, server: ServerBudget, limit: int | None) -> CheckMessage:
    threads = f"{budget.processes} processes of {budget.threads} threads"
    return problem(
        "W122",
        f"{threads} may open {server.most} connections to {server.address} ({', '.join(server.aliases)}), which takes "
        f"{limit}.",
        hint="Bound them (CLUSTER['MAX_CONNECTIONS'], OPTIONS['pool']), use fewer processes or threads, put a proxy "
        "before the server, or let it take more.",
    )
