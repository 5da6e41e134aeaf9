"""The benchmarks run and say what they should; their times are for a quiet machine, their memory is not."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
SECONDS = 0.1
needs_mariadb = pytest.mark.skipif(
    find_spec("MySQLdb") is None or not shutil.which("mariadbd", path=f"{os.environ.get('PATH', '')}:/usr/sbin"),
    reason="needs mysqlclient and MariaDB's server: apt-get install mariadb-server-core mariadb-client",
)


def run(name: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The benchmark as a command of its own, which has settings of its own."""
    command = [sys.executable, "-W", "error", "-m", f"benchmarks.{name}", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, check=True
    )


def answer(name: str, *arguments: str) -> dict[str, Any]:
    """What it prints as JSON."""
    found: dict[str, Any] = json.loads(run(name, "--json", *arguments).stdout)
    return found


@pytest.mark.parametrize(
    ("name", "limited"),
    [
        ("routed", ["objects.filter(site=7)[:1]", "objects.get(pk=...)"]),
        ("scatter", ["ordered slice of 100", "the same in atomic()", "twice in one atomic()", "count()"]),
        ("planning", []),
        ("merging", []),
        (
            "grouped",
            ["1,000 groups", "the ten largest", "HAVING on an expression", "1,000 groups, 5 ms away"],
        ),
    ],
)
def test_each_comparison_has_its_times_and_its_limit(name: str, limited: list[str]) -> None:
    found = answer(name, "--rows", "600", "--rounds", "2")["comparisons"]
    assert len(found) >= 5
    assert all(c["ours_best_ms"] > 0 and c["base_best_ms"] > 0 and c["ratio"] > 0 for c in found)
    assert [c["name"] for c in found if c["limit"]] == limited


def test_a_table_has_a_line_for_each_comparison() -> None:
    heading, *lines = run("merging", "--rows", "600", "--rounds", "1").stdout.splitlines()
    assert heading.split()[:2] == ["what", "against"]
    assert all("one database" in line for line in lines)
    assert [line.split()[0] for line in lines].count("count()") == 1


def test_a_stream_of_many_rows_is_held_in_little_memory() -> None:
    found = answer("streaming", "--rows", "150000", "--rounds", "1")
    assert [(s["alias"], s["rows"]) for s in found["streams"]] == [("track", 150_000), ("plain", 150_000)]
    # Tuples of all rows take more than 100 MiB.
    assert found["held_mib"] < 32


def test_the_databases_of_a_run_are_removed(tmp_path: Path) -> None:
    run("merging", "--rows", "100", "--rounds", "1", TMPDIR=str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_every_way_of_collecting_delivers_what_it_took() -> None:
    rates = answer("sinks", "--seconds", "0.3")["rates"]
    assert rates[0]["name"] == "DRF, put_record for each"
    assert len(rates) == 5
    assert all(rate["events"] == rate["arrived"] > 0 for rate in rates)


@pytest.mark.parametrize("engine", ["sqlite", pytest.param("mysql", marks=needs_mariadb)])
def test_shards_that_are_far_away_are(engine: str) -> None:
    found = answer("scatter", "--engine", engine, "--rows", "200", "--rounds", "1")["comparisons"]
    assert all(min(c["base_best_ms"], c["ours_best_ms"]) >= 20 for c in found)
    (block,) = (c for c in found if c["name"] == "the same in atomic()")
    # BEGIN, the query and COMMIT.
    assert block["base_best_ms"] >= 60
    assert {c["limit"] for c in found} == {None, {"sqlite": 1.5, "mysql": 1.3}[engine]}


@needs_mariadb
def test_servers_are_timed_by_the_clock_on_the_wall() -> None:
    found = answer("routed", "--engine", "mysql", "--rows", "200", "--rounds", "1")["comparisons"]
    assert [c["name"] for c in found if c["limit"] == 1.05] == ["objects.filter(site=7)[:1]", "objects.get(pk=...)"]


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        yield server


@pytest.fixture
def relay(listening: socket.socket) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "benchmarks.relay", str(SECONDS), str(listening.getsockname()[1])]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()
        # It ends with its standard input, not by a signal.
        assert process.wait(60) == 0


@pytest.fixture
def ends(listening: socket.socket, relay: subprocess.Popen[str]) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Both ends of a connection through the relay: the client's and the server's."""
    assert relay.stdout is not None
    with socket.create_connection(("127.0.0.1", int(relay.stdout.readline())), 60) as client:
        server, _ = listening.accept()
        with server:
            server.settimeout(60)
            yield client, server


def test_a_relay_hands_on_late_in_order_and_both_ways(ends: tuple[socket.socket, socket.socket]) -> None:
    client, server = ends
    for sender, receiver in ((server, client), (client, server)):
        start = time.monotonic()
        for number in range(200):
            sender.sendall(b"%03d." % number)
        received = b""
        while len(received) < 800:
            received += receiver.recv(4096)
            assert time.monotonic() - start >= SECONDS
        assert received == b"".join(b"%03d." % number for number in range(200))


def test_a_relay_ends_both_sides_together(ends: tuple[socket.socket, socket.socket]) -> None:
    client, server = ends
    server.sendall(b"last words")
    server.close()
    assert client.recv(100) == b"last words"
    assert client.recv(100) == b""
