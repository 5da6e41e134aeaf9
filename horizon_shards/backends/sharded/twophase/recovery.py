"""Ending what a crash has left prepared; safe at any time, on any host, by several at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from django.db import Error, connections

from horizon_shards.backends.sharded.twophase.branches import BRANCHES
from horizon_shards.backends.sharded.twophase.names import mark_of
from horizon_shards.directory.decisions import Outcome
from horizon_shards.exceptions import ConfigurationError
from horizon_shards.topology import Group

#: Decisions to roll back are kept so long: whoever had prepared and was held up may still ask.
KEEP_ROLLBACKS_SECONDS: Final = 7 * 24 * 3600


@dataclass
class Recovered:
    """What :func:`recover` did: transactions by outcome, and what it had to leave.

    ``left``: how many prepared transactions each shard still has; ``errors``: the shards that did not answer.
    """

    database: str
    committed: int = 0
    rolled_back: int = 0
    forgotten: int = 0
    left: dict[str, int] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)


def recover(group: Group, *, wait_seconds: float, sleep: Callable[[float], None] = time.sleep) -> Recovered:
    """End the transactions that are prepared now and still are after ``wait_seconds``.

    What is prepared for less may be somebody's who is about to decide. Should it be nevertheless that he decides
    later, he learns that the transaction is rolled back, and raises ``RolledBack``.
    """
    if group.directory is None:
        raise ConfigurationError(f"{group.alias!r} has no DIRECTORY, so it has no transactions in two phases.")
    result = Recovered(group.alias)
    first = prepared_by_shard(group, result.errors)
    waiting = set().union(*first.values()) if first else set()
    if waiting:
        sleep(wait_seconds)
        _end(group, waiting, result)
    _forget(group, result)
    return result


def prepared_by_shard(group: Group, errors: dict[str, str]) -> dict[str, set[str]]:
    """The prepared transactions of this directory on each shard that answers; of the others the error."""
    found: dict[str, set[str]] = {}
    for shard, alias in group.primaries.items():
        try:
            found[shard] = prepared_on(connections[alias], shard, group.mark)
        except Error as error:
            errors[shard] = " ".join(str(error).split())
    return found


def prepared_on(connection: Any, shard: str, mark: str | None = None) -> set[str]:
    """The transactions that are prepared on a shard: of the directory with this mark, or of any."""
    branch = BRANCHES.get(connection.vendor)
    names = [] if branch is None else branch.prepared(connection, shard)
    return {gid for gid in names if mark is None or mark_of(gid) == mark}


def _end(group: Group, waiting: set[str], result: Recovered) -> None:
    again = prepared_by_shard(group, result.errors)
    outcomes = _decided(group, {shard: gids & waiting for shard, gids in again.items()})
    for shard, gids in again.items():
        for gid in sorted(gids & waiting):
            _end_one(group, shard, gid, outcomes[gid], result.errors)
    # A session of MariaDB that is still there keeps others from ending what it has prepared: so look.
    left = prepared_by_shard(group, result.errors)
    result.left = {shard: len(gids & waiting) for shard, gids in left.items() if gids & waiting}
    for gid, outcome in outcomes.items():
        if not any(gid in gids for gids in left.values()):
            result.committed += outcome == "commit"
            result.rolled_back += outcome == "rollback"


def _decided(group: Group, prepared: Mapping[str, set[str]]) -> dict[str, Outcome]:
    assert group.directory is not None
    decisions = group.directory.decisions
    gids = set().union(*prepared.values()) if prepared else set()
    outcomes = decisions.outcomes(gids)
    for gid in sorted(gids - outcomes.keys()):
        shards = [shard for shard, found in prepared.items() if gid in found]
        outcomes[gid] = decisions.decide(gid, "rollback", shards)
    return outcomes


def _end_one(group: Group, shard: str, gid: str, outcome: Outcome, errors: dict[str, str]) -> None:
    connection = connections[group.primaries[shard]]
    try:
        BRANCHES[connection.vendor](gid, shard).end_prepared(connection, commit=outcome == "commit")
    except Error as error:
        errors[shard] = " ".join(str(error).split())


def _forget(group: Group, result: Recovered) -> None:
    """Remove decisions that nobody will ask for. First read, then look: what is prepared later is not among them."""
    assert group.directory is not None
    stored = group.directory.decisions.all()
    prepared = prepared_by_shard(group, result.errors)
    in_use = set().union(*prepared.values()) if prepared else set()
    keep_from = time.time() - KEEP_ROLLBACKS_SECONDS
    gone = [
        decision.gid
        for decision in stored
        if decision.gid not in in_use
        and prepared.keys() >= set(decision.shards)
        and (decision.outcome == "commit" or decision.decided_at < keep_from)
    ]
    if gone:
        group.directory.decisions.forget(gone)
    result.forgotten = len(gone)
