"""What a run of the loader did, and what it could not do."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that is no row: its object, its number from 1, why, and its text."""

    name: str
    line: int
    reason: str
    text: str

    def __str__(self) -> str:
        return f"{self.name}, line {self.line}: {self.reason}"


@dataclass(frozen=True, slots=True)
class BadObject:
    """An object of which nothing is loaded, and why."""

    name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"


@dataclass
class Report:
    """Counts of objects and rows; ``duplicates`` are events that were there, or came twice.

    The next run tries ``bad_objects`` again; ``failed`` are those of what Firehose itself could not deliver.
    """

    loaded: int = 0
    known: int = 0
    rows: int = 0
    duplicates: int = 0
    rejected: int = 0
    bad_lines: list[BadLine] = field(default_factory=list)
    bad_objects: list[BadObject] = field(default_factory=list)
    failed: list[BadObject] = field(default_factory=list)

    def add(self, *, rows: int, duplicates: int, rejected: int) -> None:
        """One object more is loaded."""
        self.loaded += 1
        self.rows += rows
        self.duplicates += duplicates
        self.rejected += rejected

    @property
    def is_clean(self) -> bool:
        """Whether everything that was found is loaded."""
        return not (self.bad_lines or self.bad_objects or self.failed)
