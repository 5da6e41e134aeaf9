"""``manage.py work_queue`` as processes: how they end, and what becomes of the task at hand."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.aws import jobs
from tests.aws.conftest import Stack
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(stack: Stack, use: Callable[..., Any], tmp_path: Path) -> Iterator[Start]:
    """Starts a worker of the stack; the first one makes the table of claims."""
    use(VISIBILITY_SECONDS=4, WAIT_SECONDS=1, KILL_SECONDS=0.5)
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.aws.worker_settings",
        "QUEUE_DATABASE": str(tmp_path / "claims.sqlite3"),
        "QUEUE_TASKS": json.dumps(stack.tasks),
    }
    started: list[subprocess.Popen[str]] = []

    def command(*arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "django", *arguments],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    def worker(*arguments: str) -> subprocess.Popen[str]:
        process = command("work_queue", *arguments)
        assert process.stdout is not None
        assert "a message is tried 3 times" in process.stdout.readline(), process.communicate()[1]
        return process

    _, errors = command("migrate", "--verbosity=0").communicate(timeout=120)
    assert errors == ""
    yield worker
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def effects(tmp_path: Path) -> Path:
    return tmp_path / "effects"


def lines(effects: Path) -> list[str]:
    return effects.read_text().splitlines() if effects.exists() else []


def claims(folder: Path, columns: str) -> list[tuple[Any, ...]]:
    """What the table of claims holds."""
    database = sqlite3.connect(folder / "claims.sqlite3", timeout=60)
    try:
        return database.execute(f"SELECT {columns} FROM horizon_shards_queues_claim").fetchall()
    finally:
        database.close()


def test_sigterm_ends_it_after_the_task_at_hand(start: Start, stack: Stack, effects: Path, tmp_path: Path) -> None:
    jobs.wait_for_file.enqueue(str(effects), str(tmp_path / "go"))
    process = start()
    wait_until(lambda: lines(effects) == ["begun"])
    jobs.note.enqueue(str(effects), "next")
    process.terminate()
    (tmp_path / "go").touch()
    output, errors = process.communicate(timeout=120)
    assert (process.returncode, output, errors) == (0, "Tried 1 messages.\n", "")
    assert lines(effects) == ["begun", "ended"]
    assert stack.waiting() == 1


def test_the_task_of_a_worker_that_was_killed_is_run_by_another(
    start: Start, stack: Stack, effects: Path, tmp_path: Path
) -> None:
    jobs.wait_for_file.enqueue(str(effects), str(tmp_path / "go"))
    process = start()
    wait_until(lambda: lines(effects) == ["begun"])
    process.kill()
    (tmp_path / "go").touch()
    # One try may find the claim of the dead worker, which died between the renewals of its claim and of its message.
    wait_until(lambda: "ended" in lines(effects) or not start("--max-tasks=1").communicate(timeout=120))
    assert lines(effects) == ["begun", "begun", "ended"]
    assert (stack.waiting(), stack.waiting(dead=True)) == (0, 0)


def test_a_task_that_does_not_heed_its_time_out_ends_its_process(start: Start, stack: Stack, effects: Path) -> None:
    jobs.ignore_the_timeout.enqueue(str(effects))
    process = start()
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 70
    assert "runs on beyond its time-out" in errors
    assert lines(effects) == ["begun"]
    assert stack.waiting() == 1


def test_several_workers_run_each_task_once(start: Start, stack: Stack, effects: Path, tmp_path: Path) -> None:
    """Also where messages come twice."""
    for number in range(8):
        jobs.note_once.enqueue(str(effects), f"{number}")
        jobs.note_once.enqueue(str(effects), f"{number}")
    workers = [start("--until-empty") for _ in range(2)]
    for process in workers:
        process.communicate(timeout=240)
        assert process.returncode == 0
    # What one worker found held by the other is hidden for a while, and may outlast both.
    wait_until(lambda: stack.waiting() == 0 or not start("--until-empty").communicate(timeout=240))
    assert Counter(lines(effects)) == Counter(map(str, range(8)))
    assert claims(tmp_path, "COUNT(*), COUNT(done_at)") == [(8, 8)]
