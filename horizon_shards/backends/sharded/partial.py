"""Reads that go without the shards that do not answer, where the application has asked for that."""

from __future__ import annotations

from concurrent.futures import ALL_COMPLETED
from typing import Any

from django.db import InterfaceError, OperationalError
from django.db.models.sql.constants import MULTI

from horizon_shards import context
from horizon_shards.backends.sharded.aggregates import ScatterAggregate
from horizon_shards.backends.sharded.execute import Run, close_answers, seconds_until
from horizon_shards.backends.sharded.flight.base import Flight
from horizon_shards.backends.sharded.groups import ScatterGroups
from horizon_shards.backends.sharded.plan import Plan
from horizon_shards.backends.sharded.scatter import ScatterSelect
from horizon_shards.exceptions import HorizonShardsError, QueryNotSupported
from horizon_shards.topology import Group

#: Compilers whose answer without a shard is the answer without its rows. Not a set operation: rows would come up
#: that only the missing ones keep out.
MERGING = (ScatterSelect, ScatterGroups, ScatterAggregate)


def may_be_partial(mixin: type, plan: Plan, group: Group) -> bool:
    """Whether the compiler's answer may go without shards."""
    if context.missing_shards() is None or group.config.partial != "return":
        return False
    return plan.mode == "scatter" and issubclass(mixin, MERGING)


def refuse_partial_write(group: Group) -> None:
    """Raise where a write could rest on rows that a partial read has left out: ``QuerySet.delete()`` reads first."""
    if context.missing_shards() is not None and group.config.partial == "return":
        raise QueryNotSupported(
            f"partial_results() is for reading: a write to {group.alias!r} inside the block could rest on rows that "
            "were left out. Write after the block, once the list is known to be empty.",
            reason="partial-write",
        )


class Partial:
    """Mixed into compilers that merge the rows of shards: a shard that does not answer has none."""

    logical: Any
    missing: list[context.MissingShard] | None = None

    def execute_sql(self, result_type: Any = MULTI, *args: Any, **kwargs: Any) -> Any:
        """Run; what is asked on the way (keys for a condition, say) has to be whole."""
        self.missing = context.missing_shards()
        with context.whole_results():
            return super().execute_sql(result_type, *args, **kwargs)  # type: ignore[misc]

    def run_on(self, connections: dict[str, Any], job: Any) -> list[Any]:
        """One answer a shard, empty for those that are missing; in a transaction, all have to answer."""
        if self.missing is None or not self.logical.get_autocommit():
            return super().run_on(connections, job)  # type: ignore[misc, no-any-return]
        return PartialRun(self.logical.group, connections, job, self.missing).all()


class PartialRun(Run[Any]):
    """A shard that fails stops no other."""

    def __init__(self, group: Group, connections: dict[str, Any], job: Any, missing: list[Any]) -> None:
        super().__init__(group, connections, job)
        self.missing = missing
        self.errors: dict[str, Exception] = {}

    def _wait(self, flight: Flight[Any], deadline: float | None) -> None:
        flight.wait(seconds_until(deadline), ALL_COMPLETED)
        late = flight.unanswered()
        if late:
            self._stop(flight)
            self.errors |= dict.fromkeys(late, self._late_error(late))
        self.errors |= {shard: _outage(error) for shard, error in flight.errors().items() if shard not in late}
        if len(self.errors) == len(flight.futures):
            raise next(iter(self.errors.values()))

    def _results(self, flight: Flight[Any]) -> list[Any]:
        # What came too late may be an open cursor.
        close_answers(flight.futures[shard] for shard in self.errors)
        self.missing += [
            context.MissingShard(self.group.alias, shard, self.errors[shard])
            for shard in flight.futures
            if shard in self.errors
        ]
        return [[] if shard in self.errors else future.result() for shard, future in flight.futures.items()]


def _outage(error: BaseException) -> Exception:
    """The error, where it says that a shard is out; any other is raised."""
    if isinstance(error, OperationalError | InterfaceError) and not isinstance(error, HorizonShardsError):
        return error
    raise error
