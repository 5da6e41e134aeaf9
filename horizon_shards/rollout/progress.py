"""One line a shard that says how far its migrations are."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

#: Where lines cannot be updated in place, a running shard says where it is this often.
PLAIN_INTERVAL_SECONDS = 5.0


@dataclass
class Track:
    """How far one shard is: migrations done, of how many, the current one, seconds since the start."""

    shard: str
    done: int = 0
    total: int | None = None
    current: str = ""
    error: str | None = None
    ended: bool = False
    started_at: float | None = None
    seconds: float = 0.0
    said_at: float = field(default_factory=time.monotonic)

    def line(self, width: int) -> str:
        """The track as text, the shard's name padded to ``width`` characters."""
        count = f"{self.done}/{self.total if self.total is not None else '?'}"
        return f"  {self.shard:<{width}}  {count:>7}  {self.elapsed():7.1f} s  {self._state()}".rstrip()

    def elapsed(self) -> float:
        """Seconds since the shard began, or that it took."""
        if self.ended or self.started_at is None:
            return self.seconds
        return time.monotonic() - self.started_at

    def _state(self) -> str:
        if self.error is not None:
            where = f" in {self.current}" if self.current else ""
            return f"FAILED{where}: {self.error}"
        if self.ended:
            return "nothing to do" if self.total == 0 else "OK"
        return self.current or ("waiting" if self.started_at is None else "reading")


class Progress:
    """Prints the tracks of all shards; in place on a terminal, else a line at the end of each shard.

    ``stdout``: an ``OutputWrapper`` of Django's, or None to print nothing. Threads may report at once.
    """

    def __init__(self, shards: Iterable[str], *, stdout: Any) -> None:
        self.tracks = {name: Track(name) for name in shards}
        self.stdout = stdout
        self._width = max((len(name) for name in self.tracks), default=0)
        self._in_place = stdout is not None and stdout.isatty()
        self._drawn = 0
        self._lock = threading.RLock()
        self._told: set[str] = set()

    def start(self, shard: str) -> None:
        """The shard begins."""
        self.tracks[shard].started_at = time.monotonic()

    def expect(self, shard: str, total: int) -> None:
        """The shard has ``total`` migrations to run."""
        self.tracks[shard].total = total

    def step(self, shard: str, current: str) -> None:
        """The shard begins with a migration."""
        track = self.tracks[shard]
        track.current = current
        if not self._in_place and time.monotonic() - track.said_at > PLAIN_INTERVAL_SECONDS:
            self._say(track)

    def stepped(self, shard: str) -> None:
        """The shard has ended a migration."""
        self.tracks[shard].done += 1

    def end(self, shard: str, *, error: str | None = None) -> None:
        """The shard is done, or has failed with ``error``."""
        track = self.tracks[shard]
        track.seconds, track.error, track.ended = track.elapsed(), error, True
        if self._in_place:
            self.draw()
        else:
            self._say(track)

    def draw(self) -> None:
        """On a terminal: the lines of the shards that have ended, and below them those at work."""
        if not self._in_place:
            return
        with self._lock:
            self._erase()
            for track in self.tracks.values():
                if track.ended and track.shard not in self._told:
                    self._told.add(track.shard)
                    self.stdout.write(track.line(self._width))
            self._draw_running()
            self.stdout.flush()

    def _erase(self) -> None:
        if self._drawn:
            self.stdout.write(f"\x1b[{self._drawn}F\x1b[J", ending="")
        self._drawn = 0

    def _draw_running(self) -> None:
        size = shutil.get_terminal_size()
        running = [track for track in self.tracks.values() if track.started_at is not None and not track.ended]
        for track in running[: max(1, size.lines - 2)]:
            self.stdout.write(track.line(self._width)[: size.columns - 1])
            self._drawn += 1

    def _say(self, track: Track) -> None:
        if self.stdout is None:
            return
        with self._lock:
            track.said_at = time.monotonic()
            self.stdout.write(track.line(self._width))
            self.stdout.flush()
