"""Turns the spans and metrics of all connections on and off."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.db import connections
from django.db.backends.signals import connection_created

from horizon_shards.backends.sharded.execute import around_scatter
from horizon_shards.conf import is_sharded
from horizon_shards.exceptions import ConfigurationError
from horizon_shards.observability.counting import create_counter
from horizon_shards.observability.statement import Instrument

NAME = "horizon_shards"
METRIC = "db.client.operation.duration"

_tracer: Any = None
_duration: Any = None
#: What holds since :func:`instrument` was last called; None: nothing does.
_since: object = None


def instrument(*, tracer_provider: Any = None, meter_provider: Any = None) -> None:
    """A span and a duration for every statement from now on, a parent span for every scatter, a count of connections.

    The providers are OpenTelemetry's global ones where they are not named. Call it once, in ``AppConfig.ready()``;
    leave the instrumentation of the driver off, which would tell the same again.
    """
    global _tracer, _duration, _since
    try:
        from opentelemetry import metrics, trace
    except ImportError as error:
        raise ConfigurationError(
            "instrument() needs opentelemetry-api: pip install 'horizon-shards[opentelemetry]'."
        ) from error
    uninstrument()
    _tracer = trace.get_tracer(NAME, tracer_provider=tracer_provider)
    meter = metrics.get_meter(NAME, meter_provider=meter_provider)
    _duration = meter.create_histogram(METRIC, unit="s", description="How long statements took.")
    _since = now = object()
    create_counter(meter, is_on=lambda: _since is now)
    connection_created.connect(_attach_created, dispatch_uid=NAME)
    around_scatter.append(_scatter)
    for connection in connections.all(initialized_only=True):
        _attach(connection)


def uninstrument() -> None:
    """Take it back."""
    global _since
    _since = None
    connection_created.disconnect(dispatch_uid=NAME)
    if _scatter in around_scatter:
        around_scatter.remove(_scatter)
    for connection in connections.all(initialized_only=True):
        connection.execute_wrappers[:] = [w for w in connection.execute_wrappers if not isinstance(w, Instrument)]


def _attach_created(connection: Any, **kwargs: Any) -> None:
    _attach(connection)


def _attach(connection: Any) -> None:
    """Once for each connection; the logical ones run no statement themselves."""
    if is_sharded(connection.settings_dict) or any(isinstance(w, Instrument) for w in connection.execute_wrappers):
        return
    connection.execute_wrappers.append(Instrument(connection, _tracer, _duration))


@contextmanager
def _scatter(database: str, shards: Sequence[str]) -> Iterator[None]:
    attributes = {"horizon.database": database, "horizon.shards": tuple(shards), "horizon.fanout": len(shards)}
    options = {"record_exception": False, "attributes": attributes}
    with _tracer.start_as_current_span("shards.scatter", **options):
        yield
