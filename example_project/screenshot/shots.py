"""A stored screenshot and its name, by which the newest one comes first in any list that is in the order of names."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime, timezone

#: The largest whole number that is one in every JSON reader. Stored: never to be changed.
LATEST_MS = 2**53 - 1
NAME = re.compile(r"(?P<left>\d{16})-(?P<order>[01])-[0-9a-f]{16}\.png")


@dataclass(frozen=True, slots=True)
class Shot:
    """What is known of a screenshot. ``is_first``: of the page that was asked for, not of one behind its links."""

    site_id: int
    url: str
    asked_ms: int
    is_first: bool
    status: int
    width: int
    height: int

    @property
    def name(self) -> str:
        """The name: the time that is left, so that newer is smaller; the page that was asked for; which page it is."""
        digest = hashlib.sha256(self.url.encode()).hexdigest()[:16]
        return f"{LATEST_MS - self.asked_ms:016d}-{0 if self.is_first else 1}-{digest}.png"

    @property
    def asked(self) -> datetime:
        """When it was asked for."""
        return datetime.fromtimestamp(self.asked_ms / 1_000, tz=timezone.utc)

    def tags(self) -> dict[str, str]:
        """What S3 has as tags of the object, for rules of life cycles and of access; in characters that tags take."""
        return {
            "site": str(self.site_id),
            "page": "first" if self.is_first else "linked",
            "asked": f"{self.asked:%Y-%m-%d}",
            "size": f"{self.width}x{self.height}",
            "status": str(self.status),
        }

    def facts(self) -> dict[str, str]:
        """What stands beside the image and is not in its name, as text."""
        return {"url": self.url, "status": str(self.status), "width": str(self.width), "height": str(self.height)}


def shot_of(site_id: int, name: str, facts: dict[str, str]) -> Shot:
    """The screenshot of a name and what stands beside it; raises ``ValueError`` for a name that is none."""
    found = NAME.fullmatch(name)
    if found is None:
        raise ValueError(f"{name!r} is no name of a screenshot.")
    return Shot(
        site_id=site_id,
        url=facts["url"],
        asked_ms=LATEST_MS - int(found["left"]),
        is_first=found["order"] == "0",
        status=int(facts["status"]),
        width=int(facts["width"]),
        height=int(facts["height"]),
    )
