"""What a signal tells."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.dispatch import Signal


@contextmanager
def heard(signal: Signal, *names: str) -> Iterator[list[Any]]:
    """What the signal tells in the block: of each time the argument of that name, or the tuple of several."""
    told: list[Any] = []

    def listen(**arguments: Any) -> None:
        values = tuple(arguments[name] for name in names)
        told.append(values if len(names) > 1 else values[0])

    signal.connect(listen)
    try:
        yield told
    finally:
        signal.disconnect(listen)
