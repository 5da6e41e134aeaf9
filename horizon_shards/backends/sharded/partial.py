"""Reads that go without the shards that do not answer, where the application has asked for that."""

from __future__ import annotations

from concurrent.futures import wait
from contextlib import suppress
from time import monotonic
from typing import Any

from django.db import Error, InterfaceError, OperationalError
from django.db.models.sql.constants import MULTI

from horizon_shards import context
from horizon_shards.backends.sharded.aggregates import ScatterAggregate
from horizon_shards.backends.sharded.execute import Run
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

    def _wait(self, deadline: float | None) -> None:
        left = None if deadline is None else max(0.0, deadline - monotonic())
        wait(self.futures.values(), timeout=left)
        late = [shard for shard, future in self.futures.items() if not future.done()]
        if late:
            self._stop()
            self.errors |= dict.fromkeys(late, self._late_error(late))
        for shard in self.futures.keys() - self.errors.keys():
            error = self.futures[shard].exception()
            if error is not None:
                self.errors[shard] = _outage(error)
        if len(self.errors) == len(self.futures):
            raise next(iter(self.errors.values()))

    def _results(self) -> list[Any]:
        self._close_late()
        self.missing += [
            context.MissingShard(self.group.alias, shard, self.errors[shard])
            for shard in self.futures
            if shard in self.errors
        ]
        return [[] if shard in self.errors else future.result() for shard, future in self.futures.items()]

    def _close_late(self) -> None:
        """What came too late may be an open cursor."""
        for shard in self.errors:
            future = self.futures[shard]
            if not future.cancelled() and future.exception() is None:
                with suppress(Error, AttributeError):
                    future.result().close()


def _outage(error: BaseException) -> Exception:
    """The error, where it says that a shard is out; any other is raised."""
    if isinstance(error, OperationalError | InterfaceError) and not isinstance(error, HorizonShardsError):
        return error
    raise error
