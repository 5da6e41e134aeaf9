"""Reading an access log: a file or standard input, plain or gzip, line by line, however large."""

from __future__ import annotations

import gzip
import hashlib
import io
import sys
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

#: A longer line is no log entry; reading it whole could fill the memory.
LINE_BYTES = 64 * 1024
#: The namespace of event ids. They are stored: with another one, every log would be imported again.
EVENTS = uuid.UUID("0c6dd4ff-5c43-4b0f-9d3a-3c1c5a7e9b52")
_GZIP = b"\x1f\x8b"


class LogFile:
    """A log to be read once, as a context manager; ``-`` is standard input.

    ``bytes_read`` and ``size_bytes`` (None for a pipe) count the file as it is stored, for a progress bar.
    Raises ``OSError`` where the file cannot be opened or unpacked.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._stack = ExitStack()
        self.size_bytes: int | None = None

    def __enter__(self) -> LogFile:
        raw: BinaryIO
        if self.name == "-":
            raw = sys.stdin.buffer
        else:
            raw = self._stack.enter_context(Path(self.name).open("rb"))
            self.size_bytes = Path(self.name).stat().st_size
        self._raw = io.BufferedReader(_Counted(raw))
        packed = self._raw.peek(2)[:2] == _GZIP
        self._text = io.BufferedReader(gzip.GzipFile(fileobj=self._raw)) if packed else self._raw
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.close()

    @property
    def bytes_read(self) -> int:
        """How much of the file has been read."""
        return self._raw.raw.count  # type: ignore[attr-defined]

    def lines(self) -> Iterator[tuple[int, bytes | None]]:
        """Numbered lines without their ends, from 1; None in place of a line that is too long."""
        number = 0
        while line := self._text.readline(LINE_BYTES + 1):
            number += 1
            if len(line) > LINE_BYTES and not line.endswith(b"\n"):
                self._skip_line()
                yield number, None
            else:
                yield number, line.rstrip(b"\r\n")

    def _skip_line(self) -> None:
        while (rest := self._text.readline(LINE_BYTES)) and not rest.endswith(b"\n"):
            pass


class _Counted(io.RawIOBase):
    """A stream that counts what is read from it."""

    def __init__(self, inner: BinaryIO) -> None:
        self.inner = inner
        self.count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        data = self.inner.read1(len(buffer)) if hasattr(self.inner, "read1") else self.inner.read(len(buffer))
        buffer[: len(data)] = data
        self.count += len(data)
        return len(data)


def event_id(name: str) -> uuid.UUID:
    """The id of the event that has this name; of a version that every database takes (MariaDB refuses some)."""
    return uuid.uuid5(EVENTS, name)


def decoded(line: bytes) -> str:
    """A line as text that every database can store."""
    return line.decode("utf-8", errors="replace").replace("\x00", "\ufffd")


class EventIds:
    """An id for each line that is the same whenever the file is read: of its bytes and how often they came before.

    A log may hold a line twice (one visitor, two requests in a second), and both count. Lines are remembered
    for at least ``span`` lines: repetitions that are farther apart differ in their time of day anyhow.
    """

    def __init__(self, *, span: int = 200_000) -> None:
        self.span = span
        self._young: dict[bytes, int] = {}
        self._old: dict[bytes, int] = {}

    def of(self, line: bytes) -> uuid.UUID:
        """The id of the next line."""
        digest = hashlib.blake2b(line, digest_size=16).digest()
        seen = self._young.get(digest, self._old.get(digest, 0))
        if len(self._young) >= self.span:
            self._old, self._young = self._young, {}
        self._young[digest] = seen + 1
        return event_id(f"{digest.hex()}/{seen}")
