"""Databases that are far away, for a block: a relay before servers, a pause before the statements of SQLite."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from django.db import connections


@contextmanager
def away(aliases: Sequence[str], *, seconds: float) -> Iterator[None]:
    """Every statement and COMMIT on these databases takes ``seconds`` longer."""
    with ExitStack() as stack:
        if connections[aliases[0]].vendor == "sqlite":
            for alias in aliases:
                stack.enter_context(connections[alias].execute_wrapper(partial(_late, seconds)))
                stack.enter_context(_late_commits(connections[alias], seconds))
        else:
            stack.enter_context(_relayed(aliases, seconds))
        yield


def _late(seconds: float, execute: Any, *args: Any) -> Any:
    time.sleep(seconds)
    return execute(*args)


@contextmanager
def _late_commits(connection: Any, seconds: float) -> Iterator[None]:
    """COMMIT is no statement to the driver."""
    connection._commit = partial(_late, seconds, connection._commit)
    try:
        yield
    finally:
        del connection._commit


@contextmanager
def _relayed(aliases: Sequence[str], seconds: float) -> Iterator[None]:
    """New connections go through a relay of another process, half of the time there and half of it back."""
    ports = {alias: connections[alias].settings_dict["PORT"] for alias in aliases}
    command = [sys.executable, "-m", "benchmarks.relay", str(seconds / 2), *ports.values()]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as relay:
        assert relay.stdout is not None
        _lead(dict(zip(ports, relay.stdout.readline().split(), strict=True)))
        try:
            yield
        finally:
            _lead(ports)


def _lead(ports: dict[str, str]) -> None:
    """Connections of these databases to other ports from now on."""
    for alias, port in ports.items():
        connections[alias].close()
        connections[alias].settings_dict["PORT"] = port
