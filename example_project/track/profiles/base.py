"""What a profile is, and what every place does that has them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from track.models import PageView


class ProfileError(Exception):
    """Profiles could not be read or written; the page views are not concerned."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What is known of one visitor of one website on one day: the number is another one tomorrow."""

    visitor: str
    first_seen: datetime
    last_seen: datetime
    views: int
    browser: str
    system: str
    device: str


class Profiles(ABC):
    """The profiles of the visitors of all websites, each for ``days`` days after its last view; 0: there are none."""

    #: Whether reading them is a query to the website's shard.
    asks_shards = False

    def __init__(self, *, days: int, options: Mapping[str, Any]) -> None:
        self.days = days
        self.options = options

    @abstractmethod
    def see(self, view: PageView) -> None:
        """Count a page view of a person, once for each event id; raises ``ProfileError``."""

    @abstractmethod
    def latest(self, site_id: int, *, limit: int) -> Sequence[Profile]:
        """Those of a website, who was seen last first; raises ``ProfileError``."""

    def make_tables(self) -> Sequence[str]:
        """Create the tables that are missing; the names of all, none where no tables are needed."""
        return ()
