"""The lines that say how far the shards are, on a terminal and elsewhere."""

from __future__ import annotations

import io
import re

import pytest
from django.core.management.base import OutputWrapper

from horizon_shards.rollout import progress
from horizon_shards.rollout.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def run(output: io.StringIO) -> Progress:
    """Two shards: the first ends well, the second fails in its second migration."""
    told = Progress(["a", "long-name"], stdout=OutputWrapper(output))
    for shard in ("a", "long-name"):
        told.start(shard)
        told.expect(shard, 2)
        told.step(shard, "app.0001")
        told.draw()
        told.stepped(shard)
    told.step("a", "app.0002")
    told.stepped("a")
    told.end("a")
    told.step("long-name", "app.0002")
    told.end("long-name", error="RuntimeError: no")
    return told


def test_elsewhere_a_line_is_written_when_a_shard_ends() -> None:
    output = io.StringIO()
    run(output)
    lines = [re.sub(r"\d+\.\d s", "N s", line) for line in output.getvalue().splitlines()]
    assert [" ".join(line.split()) for line in lines] == [
        "a 2/2 N s OK",
        "long-name 1/2 N s FAILED in app.0002: RuntimeError: no",
    ]
    assert lines[0].index("2/2") == lines[1].index("1/2")


def test_elsewhere_a_slow_shard_says_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "PLAIN_INTERVAL_SECONDS", 0.0)
    output = io.StringIO()
    run(output)
    assert re.search(r"a +0/2 .* app\.0001$", output.getvalue(), re.MULTILINE)


def test_on_a_terminal_the_lines_are_replaced() -> None:
    output = Terminal()
    run(output)
    assert "\x1b[" in output.getvalue()
    lines = screen(output.getvalue())
    assert len(lines) == 2
    assert lines[0].split()[:2] == ["a", "2/2"]
    assert lines[0].endswith("OK")
    assert lines[1].endswith("FAILED in app.0002: RuntimeError: no")


def test_on_a_terminal_a_running_shard_has_a_line() -> None:
    output = Terminal()
    told = Progress(["a", "b", "c"], stdout=OutputWrapper(output))
    told.start("a")
    told.start("b")
    told.step("b", "app.0001")
    told.draw()
    told.draw()
    lines = screen(output.getvalue())
    assert [line.split()[0] for line in lines] == ["a", "b"]
    assert lines[0].endswith("reading")
    assert lines[1].endswith("app.0001")


def test_a_narrow_terminal_gets_one_row_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    monkeypatch.setenv("LINES", "4")
    output = Terminal()
    told = Progress([f"shard-{n}" for n in range(9)], stdout=OutputWrapper(output))
    for shard in told.tracks:
        told.start(shard)
        told.step(shard, "a_very_long_app_label.0001_a_very_long_name")
    told.draw()
    lines = screen(output.getvalue())
    assert len(lines) == 2
    assert all(len(line) <= 29 for line in lines)


def test_nothing_is_printed_without_an_output() -> None:
    told = Progress(["a"], stdout=None)
    told.start("a")
    told.draw()
    told.end("a")
    assert told.tracks["a"].ended


def screen(text: str) -> list[str]:
    """What a terminal shows after ``text``; it knows the one control sequence that is used."""
    lines: list[str] = []
    for part in re.split(r"(\x1b\[\d+F\x1b\[J)", text):
        if match := re.match(r"\x1b\[(\d+)F", part):
            del lines[len(lines) - int(match[1]) :]
        else:
            lines += part.splitlines()
    return lines
