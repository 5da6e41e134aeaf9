"""Reading logs: plain, gzip, with lines of any length; and the ids of lines."""

from __future__ import annotations

import gzip

import pytest

from track.log_file import LINE_BYTES, EventIds, LogFile


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_lines_are_numbered(tmp_path, pack):
    """Plain or gzip is seen from the content, whatever the name; the end of a line may be either."""
    path = tmp_path / "log"
    path.write_bytes(pack(b"one\r\n\ntwo"))
    with LogFile(str(path)) as log:
        assert list(log.lines()) == [(1, b"one"), (2, b""), (3, b"two")]
        assert log.bytes_read == log.size_bytes == path.stat().st_size


@pytest.mark.parametrize("length", [LINE_BYTES, LINE_BYTES + 1, 3 * LINE_BYTES])
def test_a_line_that_is_too_long_is_left_out(tmp_path, length):
    """The rest of such a line is skipped, and the next one has its number."""
    path = tmp_path / "log"
    path.write_bytes(b"x" * length + b"\nnext\n")
    with LogFile(str(path)) as log:
        (_, first), second = log.lines()
    assert (first is None) == (length > LINE_BYTES)
    assert second == (2, b"next")


def test_an_empty_file_has_no_lines(tmp_path):
    """Neither has an empty gzip."""
    for name, content in (("plain", b""), ("packed", gzip.compress(b""))):
        (tmp_path / name).write_bytes(content)
        with LogFile(str(tmp_path / name)) as log:
            assert list(log.lines()) == []


def test_event_ids_are_the_same_at_every_reading():
    """Equal lines have different ids, which come again when the file is read again."""
    lines = [b"a", b"b", b"a", b"a", b"c"]
    first, second = EventIds(), EventIds()
    ids = [first.of(line) for line in lines]
    assert len(set(ids)) == 5
    assert [second.of(line) for line in lines] == ids


def test_event_ids_do_not_change():
    """They are stored: another way of making them would import every log again."""
    ids = EventIds()
    assert str(ids.of(b"line")) == GOLDEN[0]
    assert str(ids.of(b"line")) == GOLDEN[1]


def test_event_ids_remember_a_span_of_lines():
    """Repetitions within the span are told apart, with bounded memory."""
    ids = EventIds(span=10)
    seen = {ids.of(b"same")}
    for number in range(9):
        ids.of(b"%d" % number)
    seen.add(ids.of(b"same"))
    assert len(seen) == 2
    for number in range(200):
        ids.of(b"other %d" % number)
    assert len(ids._young) + len(ids._old) <= 20


GOLDEN = ("d59cdf2f-2f93-5f80-84ad-2f0bf6a03ad5", "b1624741-bbff-5f83-93d8-bb472826eb8d")
