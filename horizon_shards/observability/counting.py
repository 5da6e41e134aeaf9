"""How many connections this process has, as a metric of OpenTelemetry."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from horizon_shards.rollout.opened import open_connections
from horizon_shards.topology import group_of_physical

METRIC = "db.client.connection.count"


def create_counter(meter: Any, *, is_on: Callable[[], bool]) -> None:
    """Let the meter ask how many there are, whenever it tells its values; nothing as soon as ``is_on()`` is False."""
    from opentelemetry.metrics import Observation

    def observe(options: Any) -> Iterable[Any]:
        return [Observation(count, attributes) for count, attributes in _counts()] if is_on() else []

    meter.create_observable_up_down_counter(
        METRIC, callbacks=[observe], unit="{connection}", description="Connections of this process."
    )


def _counts() -> Iterator[tuple[int, dict[str, Any]]]:
    for alias, opened in open_connections().items():
        attributes = {"db.client.connection.pool.name": alias, "horizon.alias": alias}
        if (owner := group_of_physical(alias)) is not None:
            attributes |= {"horizon.database": owner[0].alias, "horizon.shard": owner[1].name}
        yield opened.used, {**attributes, "db.client.connection.state": "used"}
        yield opened.idle, {**attributes, "db.client.connection.state": "idle"}
