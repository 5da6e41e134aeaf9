"""Sinks over fork, exit, SIGTERM, SIGKILL, and a disk that is full."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.servers.firehose import InThread
from tests.sinks.conftest import MakeSink, record
from tests.sinks.processes import NEVER, end, numbers, read_until_put, start, wait_for
from tests.waiting import wait_until


def test_what_is_held_at_the_exit_is_sent(server: InThread) -> None:
    _, errors = end(start(server, last=50, ending="exit", LINGER_SECONDS=NEVER))
    assert errors == ""
    assert numbers(server) == list(range(50))


def test_what_is_held_at_sigterm_is_sent(server: InThread) -> None:
    process = start(server, last=50, ending="wait", LINGER_SECONDS=NEVER)
    read_until_put(process)
    process.terminate()
    end(process)
    assert process.returncode == 128 + 15
    assert numbers(server) == list(range(50))


def test_an_exit_that_cannot_send_is_no_silence(server: InThread) -> None:
    server.stop()
    _, errors = end(start(server, last=50, ending="exit", LINGER_SECONDS=NEVER, FLUSH_SECONDS=0.3))
    assert "still holds 50 records" in errors


def test_sigkill_loses_what_lingers_and_no_more(server: InThread) -> None:
    """A batch that was full has left; what the server has of it by now counts, as it takes line after line."""
    process = start(server, last=25_000, ending="wait", LINGER_SECONDS=NEVER, WORKERS=1)
    read_until_put(process)
    wait_for(server, lines=10_000)
    process.kill()
    end(process)
    lost = 25_000 - len(numbers(server))
    assert 0 < lost < 20_000


def test_sigkill_loses_nothing_that_is_on_disk(server: InThread, make_sink: MakeSink, tmp_path: Path) -> None:
    server.stop()
    options = {"SPILL_FOLDER": str(tmp_path), "SPILL_WHEN": "always"}
    process = start(server, last=50, ending="wait", LINGER_SECONDS=NEVER, **options)
    read_until_put(process)
    process.kill()
    end(process)
    assert list(tmp_path.glob("*.jsonl"))
    server.start()
    drain(make_sink(**options), server, tmp_path)
    assert numbers(server) == list(range(50))


def test_a_segment_is_nobody_elses_while_its_process_lives(
    server: InThread, make_sink: MakeSink, tmp_path: Path
) -> None:
    options = {"SPILL_FOLDER": str(tmp_path), "SPILL_WHEN": "always"}
    process = start(server, last=50, ending="wait", LINGER_SECONDS=NEVER, **options)
    read_until_put(process)
    assert make_sink(**options)._spilling.adopt() == []
    process.terminate()
    end(process)
    assert numbers(server) == list(range(50))
    assert list(tmp_path.iterdir()) == []


def test_what_could_not_be_sent_before_the_exit_is_sent_by_the_next_process(server: InThread, tmp_path: Path) -> None:
    server.stop()
    options = {"SPILL_FOLDER": str(tmp_path)}
    _, errors = end(start(server, last=50, ending="exit", LINGER_SECONDS=NEVER, FLUSH_SECONDS=0.3, **options))
    assert errors == ""
    server.start()
    process = start(server, first=50, last=51, ending="wait", **options)
    wait_for(server, lines=51)
    end(process)
    assert numbers(server) == list(range(51))
    assert list(tmp_path.iterdir()) == []


def test_a_fork_doubles_nothing_and_loses_nothing(server: InThread) -> None:
    output, errors = end(start(server, last=10, ending="fork", LINGER_SECONDS=NEVER))
    assert (output, errors) == ("put\n", "")
    assert numbers(server) == list(range(11))


def test_a_fork_leaves_the_segments_to_the_parent(server: InThread, tmp_path: Path) -> None:
    options = {"SPILL_FOLDER": str(tmp_path), "SPILL_WHEN": "always"}
    output, errors = end(start(server, last=10, ending="fork", LINGER_SECONDS=NEVER, **options))
    assert (output, errors) == ("put\n", "")
    assert numbers(server) == list(range(11))
    assert list(tmp_path.iterdir()) == []


def test_a_child_of_multiprocessing_flushes_at_its_end(server: InThread) -> None:
    output, errors = end(start(server, last=10, ending="multiprocessing", LINGER_SECONDS=NEVER))
    assert (output, errors) == ("put\n", "")
    assert numbers(server) == list(range(11))


def test_a_full_disk_is_an_error_and_what_was_taken_arrives(server: InThread, tmp_path: Path) -> None:
    options = {"SPILL_FOLDER": str(tmp_path), "SPILL_WHEN": "always"}
    output, errors = end(start(server, last=100, ending="disk-full", LINGER_SECONDS=NEVER, **options))
    problem, said_put = output.splitlines()
    assert (problem.partition(":")[0], said_put, errors) == ("SpillFailed", "put", "")
    taken = int(problem.partition(":")[2])
    assert 0 < taken < 100
    assert numbers(server) == list(range(taken))


def test_a_full_disk_on_overflow_is_an_error(server: InThread, make_sink: MakeSink, tmp_path: Path) -> None:
    server.stop()
    options = {"SPILL_FOLDER": str(tmp_path), "OVERFLOW": "spill", "MAX_QUEUED_BYTES": 1_000, "FLUSH_SECONDS": 0.3}
    output, _ = end(start(server, last=100, ending="disk-full", LINGER_SECONDS=NEVER, **options))
    assert output.startswith("SpillFailed: ")
    server.start()
    drain(make_sink(**options), server, tmp_path)
    assert numbers(server) == list(range(int(output.split()[1])))


def test_what_does_not_fit_goes_to_disk_and_arrives_later(
    server: InThread, make_sink: MakeSink, tmp_path: Path
) -> None:
    server.stop()
    sink = make_sink(SPILL_FOLDER=tmp_path, OVERFLOW="spill", MAX_QUEUED_BYTES=1_000, RESEND_SECONDS=0.05)
    sink.put_many(record(n, text="x" * 100) for n in range(1_000))
    assert list(tmp_path.glob("*.jsonl"))
    server.start()
    wait_for(server, lines=1_000)
    sink.flush(60)
    assert numbers(server) == list(range(1_000))


def drain(sink: Any, server: InThread, folder: Path) -> None:
    """Send what the folder holds."""
    sink.start()
    wait_until(lambda: not list(folder.glob("*.jsonl")))
