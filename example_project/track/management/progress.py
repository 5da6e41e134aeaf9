"""A progress bar on one line of a terminal; silent where the output is no terminal."""

from __future__ import annotations

import time
from typing import TextIO

WIDTH = 28
#: Seconds between two drawings.
PAUSE_SECONDS = 0.1


class ProgressBar:
    """Draws how much of a file is done; ``total`` is None where nobody knows."""

    def __init__(self, stream: TextIO, *, label: str, total: int | None) -> None:
        self.stream = stream
        self.label = label
        self.total = total
        self.started = time.monotonic()
        self._drawn = 0.0
        self._shown = stream.isatty()

    def update(self, done: int, note: str) -> None:
        """Draw, unless that was done a moment ago."""
        if self._shown and time.monotonic() - self._drawn >= PAUSE_SECONDS:
            self._drawn = time.monotonic()
            self.stream.write(f"\r{self.label} {self._bar(done)} {note}\x1b[K")
            self.stream.flush()

    def close(self) -> None:
        """Take the bar away."""
        if self._shown:
            self.stream.write("\r\x1b[K")
            self.stream.flush()

    def _bar(self, done: int) -> str:
        if not self.total:
            return f"{done:,} bytes"
        share = min(1.0, done / self.total)
        full = round(share * WIDTH)
        return f"{'█' * full}{'░' * (WIDTH - full)} {share:4.0%}"
