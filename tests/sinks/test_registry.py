"""Which sink a model has, what the settings may say, and several sinks at once."""

from __future__ import annotations

from typing import Any

import pytest

from horizon_shards.checks.sinks import check_sinks
from horizon_shards.exceptions import ConfigurationError, SinkError
from horizon_shards.sinks import DatabaseSink, FirehoseSink, MultiSink, get_sink, record_of, sink_of
from tests.servers.firehose import InThread
from tests.shop.models import Site
from tests.sinks.conftest import firehose_options
from tests.sinks.models import Hit, Note

DATABASE = {"BACKEND": "horizon_shards.sinks.DatabaseSink"}


def firehose(url: str = "http://127.0.0.1:1", **options: Any) -> dict[str, Any]:
    return {"BACKEND": "horizon_shards.sinks.FirehoseSink", "OPTIONS": firehose_options(url, **options)}


def test_without_settings_every_model_goes_to_the_database() -> None:
    assert isinstance(sink_of(Hit), DatabaseSink)
    assert sink_of(Hit) is sink_of(Note) is get_sink("default")


def test_a_sink_is_named_like_the_alias_or_like_the_model(settings: Any) -> None:
    settings.HORIZON_SINKS = {"track": firehose(), "sinks.Note": firehose()}
    assert isinstance(sink_of(Hit), FirehoseSink)
    assert sink_of(Hit).name == "track"
    assert sink_of(Note).name == "sinks.Note"
    assert isinstance(sink_of(Site), DatabaseSink)


def test_a_sink_that_is_not_there_is_named_with_the_nearest(settings: Any) -> None:
    settings.HORIZON_SINKS = {"track": firehose()}
    with pytest.raises(ConfigurationError, match="did you mean 'track'"):
        get_sink("trak")


@pytest.mark.parametrize(
    ("sinks", "message"),
    [
        ([], "must be a dict"),
        ({"a": {}}, "needs BACKEND"),
        ({"a": {"BACKEND": "horizon_shards.sinks.Nothing"}}, "cannot be imported"),
        ({"a": {**DATABASE, "OPTION": {}}}, "did you mean 'OPTIONS'"),
        ({"a": {**DATABASE, "OPTIONS": {"ON_DUPLICATE": "ignore"}}}, "one of raise, skip"),
        ({"a": firehose(STREAM=None)}, "is not set"),
        ({"a": {"BACKEND": "horizon_shards.sinks.MultiSink"}}, "must list names"),
        ({"a": {"BACKEND": "horizon_shards.sinks.MultiSink", "OPTIONS": {"SINKS": ["b"]}}}, "'b', which is not in"),
    ],
)
def test_a_check_tells_what_cannot_work(settings: Any, sinks: Any, message: str) -> None:
    settings.HORIZON_SINKS = sinks
    (found,) = check_sinks()
    assert found.id == "horizon_shards.E113"
    assert message in found.msg


def test_settings_that_work_pass_the_check(settings: Any) -> None:
    settings.HORIZON_SINKS = {"track": firehose(), "default": DATABASE}
    assert check_sinks() == []


def both(url: str) -> dict[str, Any]:
    return {
        "both": {"BACKEND": "horizon_shards.sinks.MultiSink", "OPTIONS": {"SINKS": ["stream", "rows"]}},
        "stream": firehose(url, MAX_QUEUED_BYTES=2_000),
        "rows": DATABASE,
    }


@pytest.mark.django_db
def test_several_sinks_get_the_same_event(settings: Any, server: InThread) -> None:
    settings.HORIZON_SINKS = both(server.url)
    sink = get_sink("both")
    assert isinstance(sink, MultiSink)
    sink.put(Note(text="a"))
    sink.flush()
    (event,) = server.firehose.events()
    assert event["event_id"] == str(Note.objects.get().event_id)


@pytest.mark.django_db
def test_a_sink_that_fails_does_not_stop_the_others(settings: Any, server: InThread) -> None:
    settings.HORIZON_SINKS = both(server.url)
    sink, made = get_sink("both"), record_of(Note(text="a" * 20))
    get_sink("rows").put(made)
    with pytest.raises(SinkError, match="'rows' did not take a record"):
        sink.put(made)
    get_sink("stream").flush(60)
    assert [event["event_id"] for event in server.firehose.events()] == [made.event_id]
