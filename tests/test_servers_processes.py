"""A process is signalled only if it is the one that was started."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers.processes import Process, free_ports, is_free
from tests.waiting import wait_until

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
SLEEPING = [sys.executable, "-c", "import time; time.sleep(60)"]


@pytest.fixture
def process(tmp_path: Path) -> Process:
    return Process(tmp_path / "pid")


def test_it_is_ended(process: Process, tmp_path: Path) -> None:
    process.start(SLEEPING, log=tmp_path / "log")
    pid = process.pid()
    process.start(SLEEPING, log=tmp_path / "log")
    assert process.pid() == pid
    process.end()
    assert process.pid() is None
    assert not process.pid_file.exists()


def test_one_that_ended_by_itself_is_gone(process: Process, tmp_path: Path) -> None:
    process.start([sys.executable, "-c", ""], log=tmp_path / "log")
    wait_until(lambda: process.pid() is None, "it is gone")


def test_one_that_ended_before_it_answered_is_told_with_its_log(
    process: Process, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask() -> None:
        raise ConnectionError("refused")

    monkeypatch.setattr("tests.servers.processes.PATIENCE_SECONDS", 100_000)
    process.start([sys.executable, "-c", "raise SystemExit('no such disk')"], log=tmp_path / "log")
    with pytest.raises(RuntimeError, match=r"does not answer \(refused\):\nno such disk"):
        process.wait_for_answer(ask, failing=ConnectionError, log=tmp_path / "log")


def test_another_process_with_the_noted_pid_is_left_alone(process: Process) -> None:
    foreign = subprocess.Popen(SLEEPING)
    try:
        process.pid_file.write_text(json.dumps({"pid": foreign.pid, "since": "1"}))
        assert process.pid() is None
        process.end()
        assert foreign.poll() is None
        os.kill(foreign.pid, 0)
    finally:
        foreign.kill()
        foreign.wait()


def test_a_taken_port_is_not_free() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert not is_free(taken.getsockname()[1])
    assert len(set(free_ports(5))) == 5
