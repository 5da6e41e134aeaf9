"""What a run on shards is worth beside the same run on plain SQLite."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.django_suite.recording import CLASS_LEVEL

EXPLAINED = Path(__file__).with_name("explained.txt")
COUNTS = (
    "the test counts queries, and a statement on several shards is a query on each; it passes where that counts once"
)
Records = dict[str, dict[str, Any]]


@dataclass
class Verdict:
    """One module: what of the tests that pass on plain SQLite (``run`` of them) became of them."""

    module: str
    passed: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    explained: dict[str, str] = field(default_factory=dict)
    wrong: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def run(self) -> int:
        """The tests that count."""
        return sum(map(len, (self.passed, self.skipped, self.refused, self.explained, self.wrong)))

    @property
    def reasons(self) -> Counter[str]:
        """Refusals by reason."""
        return Counter(self.refused.values())

    def explain_counts(self, counted_once: Records) -> None:
        """Take out of the wrong ones what ends otherwise where a statement counts once that several shards run."""
        for test in list(self.wrong):
            record = counted_once.get(test, {"outcome": "wrong"})
            if record["outcome"] == "passed":
                self.explained[test] = COUNTS
            elif record["outcome"] == "refused":
                self.refused[test] = record["reason"]
            else:
                continue
            del self.wrong[test]

    def line(self, mode: str) -> str:
        """The verdict in words."""
        return (
            f"{mode} {self.module}: {len(self.passed)} of {self.run} passed, {len(self.refused)} refused, "
            f"{len(self.explained)} explained, {len(self.wrong)} wrong"
        )


def all_of(records: Records) -> Records:
    """What to expect where a database is measured by itself: that every test passes that Django runs on it."""
    return {test: {"outcome": "passed"} for test, record in records.items() if record["outcome"] != "skipped"}


def judge(module: str, plain: Records, records: Records, explained: dict[str, str]) -> Verdict:
    """Compare the records of one module; ``explained``: causes by test id."""
    verdict = Verdict(module)
    above = {match["name"]: record for test, record in records.items() if (match := CLASS_LEVEL.match(test))}
    for test, expected in plain.items():
        if expected["outcome"] == "passed":
            _place(verdict, test, records.get(test) or _of_class(test, above), explained)
    for test, record in records.items():
        if test.startswith("tearDown") and test not in plain:
            _place(verdict, test, record, explained)
    return verdict


def _of_class(test: str, above: Records) -> dict[str, Any]:
    """The end of a test that never began, because its class or module could not be set up."""
    for name in (test.rpartition(".")[0], test.rpartition(".")[0].rpartition(".")[0]):
        if name in above:
            return above[name]
    return {"outcome": "wrong", "error": "the test did not run", "trace": ""}


def _place(verdict: Verdict, test: str, record: dict[str, Any], explained: dict[str, str]) -> None:
    outcome = record["outcome"]
    if outcome == "passed":
        verdict.passed.append(test)
    elif outcome == "skipped":
        verdict.skipped.append(test)
    elif outcome == "refused":
        verdict.refused[test] = record["reason"]
    elif test in explained:
        verdict.explained[test] = explained[test]
    else:
        verdict.wrong[test] = record


def read_explained(mode: str) -> dict[str, str]:
    """``{test id: cause}`` of ``explained.txt``, whose headings are ``[mode] cause``."""
    causes: dict[str, str] = {}
    cause, counts = "", False
    for line in EXPLAINED.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            heading, _, cause = line[1:].partition("] ")
            counts = heading == mode
        elif counts and line and not line.startswith("#"):
            causes[line.strip()] = cause
    return causes
