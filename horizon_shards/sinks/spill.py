"""Records on disk: a file for each segment."""

from __future__ import annotations

import fcntl
import itertools
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote, unquote

from horizon_shards.exceptions import SpillFailed
from horizon_shards.sinks.segment import REJECTED, Segment

SUFFIX = ".jsonl"
_numbers = itertools.count()


class FileSegment(Segment):
    """A file. Who holds it open holds its lock.

    A line that was appended survives the end of the process, also by SIGKILL; the end of the machine only where
    its file system says so.
    """

    def __init__(self, path: Path, descriptor: int, stream: str) -> None:
        super().__init__(stream)
        self.path = path
        self._descriptor = descriptor

    @classmethod
    def create(cls, folder: Path, stream: str) -> FileSegment:
        """A new, empty segment; raises ``SpillFailed`` where the folder cannot be written to."""
        path = folder / f"{quote(stream, safe='')}~{time.time_ns()}-{os.getpid()}-{next(_numbers)}{SUFFIX}"
        draft = path.with_suffix(".new")
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
            # Locked before it has a name that others look for.
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            draft.rename(path)
        except OSError as error:
            raise SpillFailed(f"No segment can be made in {folder}: {error}") from error
        return cls(path, descriptor, stream)

    @classmethod
    def adopt(cls, path: Path) -> FileSegment | None:
        """The segment of somebody who is gone, or None where somebody holds it or has delivered it."""
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_APPEND)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        if os.fstat(descriptor).st_nlink == 0:
            os.close(descriptor)
            return None
        segment = cls(path, descriptor, unquote(path.name.rpartition("~")[0]))
        segment.size = os.fstat(descriptor).st_size
        return segment

    def append(self, line: bytes) -> None:
        """Write a line; ``SpillFailed`` where the disk does not take all of it, and then none of it stays."""
        try:
            written = os.write(self._descriptor, line)
            if written < len(line):
                written += os.write(self._descriptor, line[written:])
            if written < len(line):
                raise OSError(f"{written} of {len(line)} bytes were written")
        except OSError as error:
            with suppress(OSError):
                os.ftruncate(self._descriptor, self.size)
            raise SpillFailed(f"{self.path} took no more: {error}") from error
        self.size += len(line)

    def lines(self) -> list[bytes]:
        """What was written. A last line without its end was never confirmed to anybody, and is left out."""
        content = os.pread(self._descriptor, self.size, 0)
        return content[: content.rfind(b"\n") + 1].splitlines(keepends=True)

    def end(self, *, is_needed: bool) -> None:
        """The lock goes with the descriptor."""
        if not is_needed:
            self.path.unlink(missing_ok=True)
        os.close(self._descriptor)

    def forget(self) -> None:
        """In a forked child: the file is the parent's."""
        os.close(self._descriptor)


def segments(folder: Path) -> Iterator[Path]:
    """The segments of a folder, the oldest first."""
    with suppress(FileNotFoundError):
        yield from sorted(folder.glob(f"*{SUFFIX}"), key=lambda path: path.name.rpartition("~")[2])


class Folder:
    """A folder of segments, on a disk of this machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def create(self, stream: str) -> FileSegment:
        """A new file."""
        return FileSegment.create(self.folder, stream)

    def adopt(self) -> FileSegment | None:
        """The oldest file that nobody holds."""
        try:
            return next(filter(None, map(FileSegment.adopt, segments(self.folder))), None)
        except OSError as error:
            raise SpillFailed(f"The segments in {self.folder} cannot be read: {error}") from error

    def set_aside(self, line: bytes) -> None:
        """Keep it in the folder ``rejected``."""
        segment = FileSegment.create(self.folder / REJECTED, REJECTED)
        segment.append(line)
        segment.release()

    def close(self) -> None:
        """Nothing: files are closed with their segments."""
