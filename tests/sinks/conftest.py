"""A Firehose that listens on loopback, and sinks that end with their test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from django.db.models import Model

from horizon_shards.exceptions import SinkError
from horizon_shards.sinks import FirehoseSink, Record, lifetime, sink_of
from horizon_shards.sinks.queued import QueuedSink
from tests.servers.firehose import InThread

MakeSink = Callable[..., FirehoseSink]
CREDENTIALS = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}


@pytest.fixture
def server() -> Iterator[InThread]:
    """The stand-in for Firehose."""
    server = InThread()
    yield server
    server.close()


def firehose_options(url: str, **options: Any) -> dict[str, Any]:
    return {
        "STREAM": "s-{shard}",
        "REGION": "eu-west-1",
        "ENDPOINT": url,
        "CLIENT": CREDENTIALS,
        "LINGER_SECONDS": 0.05,
        **options,
    }


@pytest.fixture
def make_sink(server: InThread) -> Iterator[MakeSink]:
    """Makes sinks that write to the server."""
    made: list[FirehoseSink] = []

    def make(*, name: str = "test", **options: Any) -> FirehoseSink:
        made.append(FirehoseSink(name, firehose_options(server.url, **options)))
        return made[-1]

    yield make
    for sink in made:
        sink._pending.linger_seconds = 0
        with suppress(SinkError):
            sink.flush(0.1)
        abandon(sink)


def abandon(sink: QueuedSink) -> None:
    """End its threads; what it could not send is given up."""
    lifetime.forget(sink)
    sink._ending = True
    with sink._pending.changed:
        sink._pending.changed.notify_all()
    for thread in sink._threads:
        thread.join(60)
    sink._spilling.close()


def record(number: int, *, shard: str = "a", text: str = "") -> Record:
    """A record of a model of the tests."""
    return Record("shop.site", {"id": number, "name": text, "event_id": f"e{number}"}, f"e{number}", shard)


@pytest.fixture(params=["database", "firehose"])
def road(request: pytest.FixtureRequest, server: InThread, settings: Any) -> str:
    """The same code on both ways: settings alone differ."""
    if request.param == "firehose":
        entry = {"BACKEND": "horizon_shards.sinks.FirehoseSink", "OPTIONS": firehose_options(server.url)}
        settings.HORIZON_SINKS = {"track": entry, "default": entry}
    return str(request.param)


@pytest.fixture
def collected(road: str, server: InThread) -> Callable[[type[Model]], list[dict[str, Any]]]:
    """What has arrived of a model, as dicts of columns, wherever that is."""

    def rows(model: type[Model]) -> list[dict[str, Any]]:
        sink_of(model).flush()
        if road == "database":
            return list(model._base_manager.order_by("pk").values())
        found = [event for event in server.firehose.events() if event.pop("_model") == model._meta.label_lower]
        return sorted(found, key=lambda event: event.get("id", 0))

    return rows
