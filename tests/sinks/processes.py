"""Producers in processes of their own, and what has arrived from them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from django.db import connection

from tests.servers.firehose import InThread
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
NEVER = 3_600


def start(server: InThread, *, first: int = 0, last: int, ending: str, **options: Any) -> subprocess.Popen[str]:
    """The producer, in a process of its own."""
    # Python warns of every fork of a process with threads.
    python = [sys.executable, "-W", "ignore:This process:DeprecationWarning"]
    command = [*python, "-m", "tests.sinks.producer", server.url, json.dumps({"FLUSH_SECONDS": 60, **options})]
    return subprocess.Popen(
        [*command, str(first), str(last), ending],
        cwd=ROOT,
        env={**os.environ, "DEFAULT_DATABASE": str(connection.settings_dict["NAME"])},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(process: subprocess.Popen[str]) -> tuple[str, str]:
    """What it printed and what it complained of, when it has ended."""
    return process.communicate(timeout=120)


def numbers(server: InThread) -> list[int]:
    return sorted(event["id"] for event in server.firehose.events())


def read_until_put(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if line == "put\n":
            return
    raise AssertionError(process.stderr and process.stderr.read())


def wait_for(server: InThread, **counts: int) -> None:
    """Wait until the server has counted so many."""
    wait_until(lambda: all(getattr(server.firehose, name) >= count for name, count in counts.items()))
