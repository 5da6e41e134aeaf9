"""The days that a page shows: the last ones that have counts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone

#: What can be chosen, as ``?days=``; 0 stands for all.
CHOICES = {1: "1 day", 7: "7 days", 30: "30 days", 0: "All"}
DEFAULT_DAYS = 30
#: A chart of more days than this has one point a month.
MOST_DAYS = 184


@dataclass(frozen=True, slots=True)
class Period:
    """The days from ``first`` to ``last``, both included, and the steps of a chart of them."""

    first: date
    last: date

    @classmethod
    def ending(cls, last: date, *, days: int, first: date) -> Period:
        """``days`` days up to ``last``, but none before ``first``; 0 days are all of them."""
        return cls(max(first, last - timedelta(days=days - 1)) if days else first, last)

    def __str__(self) -> str:
        first = f"{self.first.day} {self.first:%b}" + (
            "" if self.first.year == self.last.year else f" {self.first.year}"
        )
        return f"{first} to {self.last.day} {self.last:%b} {self.last.year}"

    @property
    def length(self) -> int:
        """The number of days."""
        return (self.last - self.first).days + 1

    def step_of(self, day: date) -> date:
        """The first day of the step that a day belongs to: the day itself, or that of its month."""
        return day if self.length <= MOST_DAYS else day.replace(day=1)

    def steps(self) -> list[date]:
        """The first day of each step."""
        if self.length <= MOST_DAYS:
            return [self.first + timedelta(days=number) for number in range(self.length)]
        months = range(self.first.year * 12 + self.first.month - 1, self.last.year * 12 + self.last.month)
        return [date(month // 12, month % 12 + 1, 1) for month in months]

    def label(self, step: date) -> str:
        """What the axis of a chart says."""
        return f"{step:%a} {step.day} {step:%b}" if self.length <= MOST_DAYS else f"{step:%b} {step.year}"

    def hours(self) -> Iterator[datetime]:
        """Each hour of each day, in UTC; for a few days."""
        for number in range(24 * self.length):
            yield self.start + timedelta(hours=number)

    @property
    def start(self) -> datetime:
        """The first moment."""
        return datetime.combine(self.first, time.min, tzinfo=timezone.utc)

    @property
    def end(self) -> datetime:
        """The first moment that is too late."""
        return datetime.combine(self.last + timedelta(days=1), time.min, tzinfo=timezone.utc)


def chosen_days(text: str | None) -> int:
    """The choice that a query string names; the default for none and for nonsense."""
    number = int(text) if text and text.isdecimal() and len(text) < 4 else DEFAULT_DAYS
    return number if number in CHOICES else DEFAULT_DAYS
