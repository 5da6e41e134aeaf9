"""Segments: whole lines or none, whatever the disk does."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from horizon_shards.exceptions import SpillFailed
from horizon_shards.sinks.spill import FileSegment, segments


@contextmanager
def files_of_at_most(count: int) -> Iterator[None]:
    """Let no file grow beyond so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (count, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_line_that_the_disk_does_not_take_leaves_nothing_behind(tmp_path: Path) -> None:
    segment = FileSegment.create(tmp_path, "s")
    segment.append(b"first\n")
    with files_of_at_most(10), pytest.raises(SpillFailed, match="took no more"):
        segment.append(b"second\n")
    segment.append(b"third\n")
    segment.release()
    (path,) = segments(tmp_path)
    adopted = FileSegment.adopt(path)
    assert adopted is not None
    assert adopted.lines() == [b"first\n", b"third\n"]
    adopted.remove()
    assert list(segments(tmp_path)) == []


def test_a_line_without_its_end_was_never_confirmed(tmp_path: Path) -> None:
    FileSegment.create(tmp_path, "a/b~c").release()
    (path,) = segments(tmp_path)
    path.write_bytes(b"whole\ntor")
    adopted = FileSegment.adopt(path)
    assert adopted is not None
    assert (adopted.stream, adopted.lines()) == ("a/b~c", [b"whole\n"])
    adopted.release()


def test_a_file_goes_when_its_last_user_is_done_and_stays_where_one_left_lines(tmp_path: Path) -> None:
    done, left = FileSegment.create(tmp_path, "s"), FileSegment.create(tmp_path, "s")
    for segment in (done, left):
        segment.users = 2
        segment.remove()
        assert segment.path.exists()
    done.remove()
    left.release()
    assert [done.path.exists(), left.path.exists()] == [False, True]


def test_a_folder_that_cannot_be_written_to_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SpillFailed, match="No segment can be made"):
        FileSegment.create(tmp_path / "file", "s")
