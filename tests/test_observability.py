"""Spans and durations of statements, and of scatters as their parents."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import Error, connections
from django.db.backends.signals import connection_created
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from horizon_shards.observability import instrument, uninstrument
from horizon_shards.observability.statement import Instrument
from horizon_shards.topology import get_group
from tests.shop.models import Site, Visitor

pytestmark = pytest.mark.django_db(databases=["default", "track", "directory"])


@pytest.fixture
def reader() -> InMemoryMetricReader:
    return InMemoryMetricReader()


@pytest.fixture
def spans(reader: InMemoryMetricReader) -> Iterator[InMemorySpanExporter]:
    """What is told from here on."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    meters = MeterProvider(metric_readers=[reader])
    instrument(tracer_provider=provider, meter_provider=meters)
    yield exporter
    uninstrument()
    meters.shutdown()
    provider.shutdown()


def told(exporter: InMemorySpanExporter) -> list[Any]:
    """The spans of scatters and reads: transactions and savepoints are the test's."""
    spans = exporter.get_finished_spans()
    return [span for span in spans if (span.attributes or {}).get("db.operation.name", "SELECT") == "SELECT"]


def test_a_routed_query_is_a_span_that_names_its_shard(spans: InMemorySpanExporter) -> None:
    site = Site.objects.create(name="s")
    visitor = Visitor.objects.create(site=site, name="secret")
    spans.clear()
    assert Visitor.objects.get(site=site).pk == visitor.pk
    (span,) = told(spans)
    group = get_group("track")
    shard = group.mapping.place(site.pk)
    assert span.attributes["horizon.shard"] == shard
    assert span.attributes["horizon.alias"] == group.primaries[shard]
    assert (span.attributes["horizon.database"], span.attributes["db.operation.name"]) == ("track", "SELECT")
    assert span.name == f"SELECT {span.attributes['db.namespace']}"
    assert "%s" in span.attributes["db.query.text"]
    assert "secret" not in str(dict(span.attributes))


def test_a_scatter_is_the_parent_of_its_statements(spans: InMemorySpanExporter) -> None:
    assert list(Visitor.objects.filter(name="nobody")) == []
    found = told(spans)
    (scatter,) = [span for span in found if span.name == "shards.scatter"]
    statements = [span for span in found if span is not scatter]
    shards = get_group("track").shard_names
    assert sorted(span.attributes["horizon.shard"] for span in statements) == sorted(shards)
    assert {span.parent.span_id for span in statements} == {scatter.context.span_id}
    assert (scatter.attributes["horizon.fanout"], scatter.attributes["horizon.shards"]) == (len(shards), shards)


def test_an_error_is_told_by_its_type_alone(spans: InMemorySpanExporter) -> None:
    with pytest.raises(Error), connections["default"].cursor() as cursor:
        cursor.execute("SELECT secret FROM nowhere")
    (span,) = [span for span in told(spans) if span.attributes["db.operation.name"] == "SELECT"]
    assert span.status.status_code is StatusCode.ERROR
    assert span.status.description is None
    assert (span.events, span.attributes["error.type"][-5:]) == ((), "Error")


def test_durations_are_counted_by_shard(spans: InMemorySpanExporter, reader: InMemoryMetricReader) -> None:
    list(Visitor.objects.filter(name="nobody"))
    data = reader.get_metrics_data()
    assert data is not None
    metrics = data.resource_metrics[0].scope_metrics[0].metrics
    (metric,) = [each for each in metrics if each.name != "db.client.connection.count"]
    assert (metric.name, metric.unit) == ("db.client.operation.duration", "s")
    points = [point for point in metric.data.data_points if point.attributes["db.operation.name"] == "SELECT"]
    assert {point.attributes["horizon.shard"] for point in points} == set(get_group("track").shard_names)
    assert not any("db.query.text" in point.attributes for point in points)


def test_a_connection_is_told_of_once_and_not_at_all_afterwards(spans: InMemorySpanExporter) -> None:
    Site.objects.exists()
    instrument()
    wrappers = connections["default"].execute_wrappers
    connection_created.send(type(connections["default"]), connection=connections["default"])  # as a reconnect does
    assert sum(isinstance(wrapper, Instrument) for wrapper in wrappers) == 1
    uninstrument()
    assert not any(isinstance(wrapper, Instrument) for wrapper in wrappers)


def test_the_connections_of_the_process_are_counted(spans: InMemorySpanExporter, reader: InMemoryMetricReader) -> None:
    for shard in get_group("track").shard_names:
        connections[get_group("track").primaries[shard]].ensure_connection()
    values = counted(reader)
    assert values["track_1", "used"] >= 1
    assert values["track_1", "idle"] == 0
    uninstrument()
    assert counted(reader) == {}


def counted(reader: InMemoryMetricReader) -> dict[tuple[str, str], int]:
    """Connections by alias and state."""
    data: Any = reader.get_metrics_data()
    told = data.resource_metrics if data else ()
    metrics = [each for part in told for scope in part.scope_metrics for each in scope.metrics]
    points = [point for each in metrics if each.name == "db.client.connection.count" for point in each.data.data_points]
    return {(p.attributes["horizon.alias"], p.attributes["db.client.connection.state"]): p.value for p in points}
