"""Lines that outlive the process which wrote them: what a place for them has to do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol

#: The name of what no database takes, for somebody to look at.
REJECTED = "rejected"


class Segment(ABC):
    """Lines of one stream. Who holds them holds them alone: nobody else reads them meanwhile.

    Several batches may come from one segment: ``users`` of them.
    """

    def __init__(self, stream: str) -> None:
        self.stream = stream
        self.size = 0
        self.users = 1
        self._is_needed = False

    @abstractmethod
    def append(self, line: bytes) -> None:
        """Keep a line; ``SpillFailed`` where not all of it is kept, and then none of it stays."""

    @abstractmethod
    def lines(self) -> list[bytes]:
        """What was kept, in order."""

    def is_mine(self) -> bool:
        """Whether nobody has taken it over, asked before each attempt to send its lines."""
        return True

    def release(self) -> None:
        """A user leaves its lines to whoever resends them; others can take the segment when no user is left."""
        self._is_needed = True
        self._leave()

    def remove(self) -> None:
        """The lines of a user have arrived; the segment goes with the last one, unless one has left lines in it."""
        self._leave()

    def _leave(self) -> None:
        self.users -= 1
        if not self.users:
            self.end(is_needed=self._is_needed)

    @abstractmethod
    def end(self, *, is_needed: bool) -> None:
        """No user is left: let others take what is needed, and delete what is not."""

    @abstractmethod
    def forget(self) -> None:
        """In a forked child: it is the parent's."""


class Place(Protocol):
    """Where segments are kept."""

    def create(self, stream: str) -> Segment:
        """A new, empty segment that this process holds; ``SpillFailed`` where none can be made."""

    def adopt(self) -> Segment | None:
        """The oldest segment that nobody holds, now this process's; ``SpillFailed`` where the place does not answer."""

    def set_aside(self, line: bytes) -> None:
        """Keep a line that will never be taken, and resend it never."""

    def close(self) -> None:
        """The sink is done with it."""
