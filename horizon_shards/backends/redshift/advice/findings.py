"""One piece of advice."""

from __future__ import annotations

from typing import NamedTuple


class Finding(NamedTuple):
    """What was found: the ``rule``, what it is about, what is wrong, and what to do."""

    rule: str
    subject: str
    message: str
    cure: str

    def __str__(self) -> str:
        return f"{self.subject}: {self.rule}: {self.message} {self.cure}"
