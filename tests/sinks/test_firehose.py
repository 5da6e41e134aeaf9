"""FirehoseSink: batches within the limits of AWS, and nothing lost or doubled by the faults that AWS has."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from horizon_shards.exceptions import ConfigurationError, RecordRefused, SinkError, SinkFull
from horizon_shards.signals import sink_delivered, sink_failed
from horizon_shards.sinks import FirehoseSink, Record
from tests.servers.firehose import InThread, Refused
from tests.sinks.conftest import MakeSink, firehose_options, record


def numbers(server: InThread) -> list[int]:
    return sorted(event["id"] for event in server.firehose.events())


@contextmanager
def failing_once(sink: FirehoseSink) -> Iterator[None]:
    """Waits, at the end of the block, until an attempt to send has failed: the first one makes a client."""
    failed = threading.Event()

    def listen(**kwargs: object) -> None:
        failed.set()

    sink_failed.connect(listen, sender=sink)
    yield
    assert failed.wait(60)


def test_records_arrive_as_lines_with_model_and_event_id(make_sink: MakeSink, server: InThread) -> None:
    sink = make_sink()
    sink.put(record(1, text="é\n"))
    sink.flush()
    assert server.firehose.events() == [{"_model": "shop.site", "id": 1, "name": "é\n", "event_id": "e1"}]


def test_each_shard_has_a_stream(make_sink: MakeSink, server: InThread) -> None:
    sink = make_sink()
    sink.put_many([record(1, shard="a"), record(2, shard="b"), record(3, shard="a")])
    sink.flush()
    assert [event["id"] for event in server.firehose.events("s-a")] == [1, 3]
    assert [event["id"] for event in server.firehose.events("s-b")] == [2]


def test_lines_are_packed_to_5_kib_and_500_records_a_call(make_sink: MakeSink, server: InThread) -> None:
    sink = make_sink(LINGER_SECONDS=60, WORKERS=1)
    sink.put_many(record(n, text="x" * 900) for n in range(5_000))
    sink.flush()
    assert numbers(server) == list(range(5_000))
    full, *_ = server.firehose.sizes
    assert len(full) == 500
    assert all(4_000 < size <= 5 * 1024 for size in full)


def test_no_call_is_larger_than_4_mib(make_sink: MakeSink, server: InThread) -> None:
    sink = make_sink(LINGER_SECONDS=60)
    sink.put_many(record(n, text="x" * 900_000) for n in range(12))
    sink.flush()
    assert numbers(server) == list(range(12))
    assert max(map(sum, server.firehose.sizes)) > 3_500_000


def test_a_record_over_1000_kib_is_refused_at_once_and_takes_nothing_along(
    make_sink: MakeSink, server: InThread
) -> None:
    sink = make_sink()
    sink.put(record(1))
    with pytest.raises(RecordRefused, match="1,024,0"):
        sink.put(record(2, text="x" * 1_024_000))
    sink.flush()
    assert numbers(server) == [1]


def test_what_json_cannot_hold_is_refused(make_sink: MakeSink) -> None:
    with pytest.raises(RecordRefused, match=r"shop\.site is no JSON"):
        make_sink().put(Record("shop.site", {"name": object()}, "e"))


def test_full_batches_are_sent_before_anybody_flushes(make_sink: MakeSink, server: InThread) -> None:
    arrived = threading.Event()
    sink = make_sink(LINGER_SECONDS=0.01)

    def listen(**kwargs: object) -> None:
        arrived.set()

    sink_delivered.connect(listen, sender=sink)
    sink.put(record(1))
    assert arrived.wait(60)
    assert numbers(server) == [1]


def test_failed_records_alone_are_sent_again(make_sink: MakeSink, server: InThread) -> None:
    """10 % failed records and every 20th call throttled: none lost, none doubled."""
    server.firehose.faults.fail_every, server.firehose.faults.throttle_every = 10, 20
    sink = make_sink(LINGER_SECONDS=0.01)
    sink.put_many(record(n, text="x" * 200) for n in range(30_000))
    sink.flush(120)
    assert numbers(server) == list(range(30_000))
    assert server.firehose.records > len(server.firehose.sizes)


def test_an_answer_that_is_lost_doubles_lines_and_their_event_ids_tell(make_sink: MakeSink, server: InThread) -> None:
    server.firehose.faults.unanswered_every = 2
    sink = make_sink(WORKERS=1)
    for batch in range(4):
        sink.put_many(record(n) for n in range(batch * 10, batch * 10 + 10))
        sink.flush(60)
    arrived = [event["event_id"] for event in server.firehose.events()]
    assert len(arrived) > 40
    assert set(arrived) == {f"e{n}" for n in range(40)}


def test_what_is_put_while_the_endpoint_is_down_arrives_when_it_is_back(make_sink: MakeSink, server: InThread) -> None:
    sink = make_sink()
    server.stop()
    with failing_once(sink):
        sink.put_many(record(n) for n in range(100))
    with pytest.raises(SinkError, match="100 records"):
        sink.flush(0.2)
    server.start()
    sink.flush(60)
    assert numbers(server) == list(range(100))


def test_a_stream_that_is_not_there_holds_up_itself_alone(make_sink: MakeSink, server: InThread) -> None:
    sink = make_sink()
    server.firehose.faults.always = Refused(400, "ResourceNotFoundException")
    with failing_once(sink):
        sink.put(record(1))
    with pytest.raises(SinkError) as raised:
        sink.flush(0.3)
    assert "ResourceNotFoundException" in str(raised.value.__cause__)
    server.firehose.faults.always = None
    sink.flush(60)
    assert numbers(server) == [1]


def test_a_full_sink_raises_and_names_what_stopped_it(make_sink: MakeSink, server: InThread) -> None:
    sink = make_sink(MAX_QUEUED_BYTES=2_000)
    server.stop()
    with pytest.raises(SinkFull, match="MAX_QUEUED_BYTES is 2,000"):
        sink.put_many(record(n, text="x" * 100) for n in range(100))
    taken = sum(map(len, sink._pending.all()))
    server.start()
    sink.flush(60)
    assert numbers(server) == list(range(taken))


def test_a_full_sink_waits_where_that_is_its_policy(make_sink: MakeSink, server: InThread) -> None:
    server.firehose.faults.latency_seconds = 0.02
    sink = make_sink(MAX_QUEUED_BYTES=2_000, OVERFLOW="block", BLOCK_SECONDS=60, LINGER_SECONDS=0.01)
    sink.put_many(record(n, text="x" * 100) for n in range(200))
    sink.flush(60)
    assert numbers(server) == list(range(200))


def test_waiting_ends_with_an_error(make_sink: MakeSink, server: InThread) -> None:
    server.stop()
    sink = make_sink(MAX_QUEUED_BYTES=500, OVERFLOW="block", BLOCK_SECONDS=0.05)
    with pytest.raises(SinkFull):
        sink.put_many(record(n, text="x" * 100) for n in range(100))


def test_many_threads_put_at_once(make_sink: MakeSink, server: InThread) -> None:
    sink = make_sink(LINGER_SECONDS=0.01)

    def put(first: int) -> None:
        sink.put_many(record(n) for n in range(first, first + 500))

    threads = [threading.Thread(target=put, args=(n * 500,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sink.flush(60)
    assert numbers(server) == list(range(4_000))
    assert sink._pending.held == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"STREAM": ""}, "STREAM'] is not set"),
        ({"STREAM": "a-{shrad}"}, "known are {shard}"),
        ({"STREM": "a"}, "did you mean 'STREAM'"),
        ({"LINGER_SECONDS": 0}, "number above 0"),
        ({"WORKERS": 1.5}, "whole number above 0"),
        ({"OVERFLOW": "drop"}, "one of raise, block, spill"),
        ({"OVERFLOW": "spill"}, "needs SPILL_FOLDER"),
        ({"SPILL_WHEN": "always"}, "needs SPILL_FOLDER"),
    ],
)
def test_an_option_that_cannot_work_is_named(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        FirehoseSink("test", firehose_options("http://127.0.0.1:1", **options))
    assert message in str(raised.value)


def test_secrets_stand_in_no_error(make_sink: MakeSink, server: InThread, tmp_path: Path) -> None:
    server.stop()
    sink = make_sink(CLIENT={"aws_access_key_id": "AKIDKEY", "aws_secret_access_key": "SECRETSECRET"})
    with failing_once(sink):
        sink.put(record(1))
    with pytest.raises(SinkError) as raised:
        sink.flush(0.2)
    assert raised.value.__cause__ is not None
    assert "SECRETSECRET" not in f"{raised.value!r} {raised.value.__cause__!r} {sink!r}"
