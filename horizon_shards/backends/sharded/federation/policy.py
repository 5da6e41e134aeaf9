"""Telling of every query that was federated."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from horizon_shards import context
from horizon_shards.backends.sharded.plan import Plan
from horizon_shards.backends.sharded.policy import call_site
from horizon_shards.exceptions import FederationWarning
from horizon_shards.signals import query_federated
from horizon_shards.topology import Group, get_topology

#: Where Python remembers which lines have been warned.
_registry: dict[str | tuple[str, type[Warning], int], int] = {}


def tell(plan: Plan, model: Any, group: Group, rows: dict[str, int]) -> None:
    """Send the signal, and warn at the caller's line where the group warns of scatter."""
    query_federated.send(sender=model, plan=plan, rows=rows)
    if _policy_of(group) == "allow":
        return
    counts = ", ".join(f"{count:,} of {table}" for table, count in rows.items())
    filename, line = call_site()
    what = f"A select on {plan.model} was federated: {counts} rows were gathered. It is so because {plan.why}"
    warnings.warn_explicit(what, FederationWarning, filename, line, registry=_registry)


@contextmanager
def without_scatter_warning(alias: str) -> Iterator[None]:
    """One warning is enough for a federated query; a policy that forbids scatter goes on doing so."""
    group = get_topology().groups.get(alias)
    if group is None or _policy_of(group) != "warn":
        yield
        return
    with context.allow_scatter():
        yield


def _policy_of(group: Group) -> str:
    return context.scatter_policy() or group.config.scatter
