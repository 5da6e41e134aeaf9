"""What holds for a block of code: a pinned shard, whether scatter is allowed, known placements.

All of it lives in context variables, so it is right in threads and in async code.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from math import inf
from time import monotonic
from typing import Any, Literal

Policy = Literal["allow", "warn", "forbid"]


@dataclass(frozen=True)
class MissingShard:
    """A shard that a read of the logical alias ``database`` went without, and the error that it gave."""

    database: str
    shard: str
    error: Exception


_pins: ContextVar[Mapping[str, str]] = ContextVar("horizon_shards_pins", default={})
_policy: ContextVar[Policy | None] = ContextVar("horizon_shards_policy", default=None)
_federation: ContextVar[int | None] = ContextVar("horizon_shards_federation", default=None)
_missing: ContextVar[list[MissingShard] | None] = ContextVar("horizon_shards_missing", default=None)
_may_cross: ContextVar[bool] = ContextVar("horizon_shards_may_cross", default=False)
_one_copy: ContextVar[bool] = ContextVar("horizon_shards_one_copy", default=False)
_from_primary: ContextVar[bool] = ContextVar("horizon_shards_from_primary", default=False)
#: By logical alias and shard ("": all) until when reads keep to the primary; infinite until the first read afterwards.
_written: ContextVar[Mapping[tuple[str, str], float]] = ContextVar("horizon_shards_written", default={})
_placed: ContextVar[Mapping[tuple[str, Hashable], Any]] = ContextVar("horizon_shards_placed", default={})


@contextmanager
def _set(variable: ContextVar[Any], value: Any) -> Iterator[None]:
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)


@contextmanager
def using_shard(shard: str, *, database: str | None = None) -> Iterator[None]:
    """Send everything that is asked of ``database`` inside the block to one shard, as it is written.

    Raw SQL, ``connection.cursor()``, ``Manager.raw()`` and ``extra()`` need such a block. Nothing is merged
    and nothing is looked up: the answer is what this shard holds. Inserting a row whose key belongs to
    another shard raises :class:`~horizon_shards.exceptions.MisplacedRow`.

    ``database`` is the logical alias; it may be left out where only one logical database has a shard of
    that name. Raises :class:`~horizon_shards.exceptions.UnknownShard`.
    """
    from horizon_shards.topology import group_with_shard

    alias = group_with_shard(shard, database=database).alias
    with _set(_pins, {**_pins.get(), alias: shard}):
        yield


@contextmanager
def allow_scatter() -> Iterator[None]:
    """Let queries in the block ask several shards without a warning, whatever ``SCATTER`` says."""
    with _set(_policy, "allow"):
        yield


@contextmanager
def forbid_scatter() -> Iterator[None]:
    """Make queries in the block that would ask several shards raise ``ScatterForbidden``."""
    with _set(_policy, "forbid"):
        yield


@contextmanager
def allow_federation(max_rows: int) -> Iterator[None]:
    """Let queries in the block be federated, each gathering at most ``max_rows`` rows, whatever ``FEDERATION`` says.

    0 turns federation off.
    """
    with _set(_federation, max_rows):
        yield


@contextmanager
def partial_results() -> Iterator[list[MissingShard]]:
    """Let reads in the block go without the shards that do not answer, which are put into the list that it gives.

    Only of logical databases whose ``PARTIAL`` is ``"return"``, only reads that merge the rows of several shards, and
    none inside a transaction: all else raises as ever. An answer is whole if the list is empty *after* its rows were
    read. A shard counts as missing where it cannot be reached, breaks off, or passes the deadline.
    """
    missing: list[MissingShard] = []
    with _set(_missing, missing):
        yield missing


@contextmanager
def whole_results() -> Iterator[None]:
    """Undo :func:`partial_results` for queries whose answer another one needs whole."""
    with _set(_missing, None):
        yield


@contextmanager
def allow_cross_shard() -> Iterator[None]:
    """Let transactions begun in the block write to several shards although ``TRANSACTIONS`` is ``single``."""
    with _set(_may_cross, True):
        yield


@contextmanager
def allow_one_copy() -> Iterator[None]:
    """Let writes in a :func:`using_shard` block change that shard's copy of a reference model alone.

    For work that does the same on every shard; migrations hold it.
    """
    with _set(_one_copy, True):
        yield


@contextmanager
def reading_from_primary() -> Iterator[None]:
    """Let no read in the block go to a replica."""
    with _set(_from_primary, True):
        yield


@contextmanager
def own_writes(until: Mapping[str, float]) -> Iterator[None]:
    """Know of no writes but those of the block, and of ``until``: ``{alias: monotonic time}``; one web request, say."""
    with _set(_written, {(alias, ""): limit for alias, limit in until.items()}):
        yield


@contextmanager
def placed(label: str, placements: Mapping[Hashable, Any]) -> Iterator[None]:
    """Tell the planner the shard keys of rows by primary key: ``{pk: key}`` of the model ``label``.

    For saving, deleting and refreshing instances whose primary key alone does not name the shard.
    """
    known = {(label, pk): key for pk, key in placements.items()}
    with _set(_placed, {**_placed.get(), **known}):
        yield


def pinned_shard(database: str) -> str | None:
    """The shard that ``using_shard`` names for this logical alias, or None."""
    return _pins.get().get(database)


def scatter_policy() -> Policy | None:
    """The policy set by the innermost block, or None where the settings decide."""
    return _policy.get()


def federation_limit() -> int | None:
    """The rows that the innermost :func:`allow_federation` grants, or None where the settings decide."""
    return _federation.get()


def missing_shards() -> list[MissingShard] | None:
    """The list of the innermost :func:`partial_results`, or None where answers have to be whole."""
    return _missing.get()


def may_cross_shards() -> bool:
    """Whether :func:`allow_cross_shard` is in force."""
    return _may_cross.get()


def may_change_one_copy() -> bool:
    """Whether :func:`allow_one_copy` is in force."""
    return _one_copy.get()


def known_placements() -> Mapping[tuple[str, Hashable], Any]:
    """What :func:`placed` has told: ``{(model label, pk): key}``."""
    return _placed.get()


def note_write(database: str, shard: str = "") -> None:
    """From here on reads of this thread or task keep to the primary, for a time: of one shard, or of all."""
    written = _written.get()
    if written.get((database, shard)) != inf:
        _written.set({**written, (database, shard): inf})


def must_read_primary(database: str, shard: str, seconds: float) -> bool:
    """Asks: whether a read keeps to the primary; ``seconds``: how long, counted from the first read after a write."""
    if _from_primary.get():
        return True
    if not (written := _written.get()):
        return False
    now = monotonic()
    ending = {key: now + seconds for key in ((database, shard), (database, "")) if written.get(key) == inf}
    if ending:
        _written.set({**written, **ending})
        return True
    return max(written.get((database, shard), 0.0), written.get((database, ""), 0.0)) > now


def writes_seen() -> Mapping[str, float]:
    """Asks: the logical aliases that were written to, and until when (monotonic; infinite: just now)."""
    latest: dict[str, float] = {}
    for (database, _), limit in _written.get().items():
        latest[database] = max(limit, latest.get(database, 0.0))
    return latest
