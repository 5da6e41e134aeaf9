"""From the lines of an access log to page views, each stored once however often the log is imported."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from track.access_log import BadLine, LogLine, parse_line
from track.addresses import kept_address
from track.agents import describe
from track.log_file import LINE_BYTES, EventIds, LogFile, decoded
from track.models import HOST_LENGTH, PATH_LENGTH, PageView, Website
from track.storing import store_once
from track.visitors import visitor_hash

SiteFrom = Literal["host", "path"]
#: How many bad lines are remembered to be shown.
SHOWN = 5


@dataclass
class Result:
    """What an import did: counts of lines, and the first bad lines as ``(number, reason)``."""

    lines: int = 0
    stored: int = 0
    known: int = 0
    bad: int = 0
    first_bad: list[tuple[int, str]] = field(default_factory=list)
    sites: set[str] = field(default_factory=set)

    def add_bad(self, number: int, reason: str) -> None:
        """Count a bad line."""
        self.bad += 1
        if len(self.first_bad) < SHOWN:
            self.first_bad.append((number, reason))


class Importer:
    """Reads a log into page views.

    ``site``: the website that every line belongs to. Without it, ``site_from`` says where a line names its
    website: the virtual ``host`` in front of it, or the first folder of the ``path``; a line that names none
    belongs to the website called ``fallback``. Websites that are new are created.
    """

    def __init__(
        self, *, site: Website | None = None, site_from: SiteFrom = "host", fallback: str, batch_lines: int = 5_000
    ) -> None:
        self.site = site
        self.site_from = site_from
        self.fallback = fallback
        self.batch_lines = batch_lines
        self.result = Result()
        self._sites: dict[str, Website] = {}

    def run(self, log: LogFile, *, progress: Callable[[int], None] = lambda lines: None) -> Result:
        """Import the whole log; ``progress`` is told the number of lines after each batch."""
        batch: list[PageView] = []
        for view in self._views(log):
            batch.append(view)
            if len(batch) >= self.batch_lines:
                self._store(batch)
                batch = []
                progress(self.result.lines)
        self._store(batch)
        progress(self.result.lines)
        return self.result

    def _views(self, log: LogFile) -> Iterator[PageView]:
        ids = EventIds()
        for number, line in log.lines():
            self.result.lines += 1
            try:
                if line is None:
                    raise BadLine(f"longer than {LINE_BYTES:,} bytes")
                entry = parse_line(decoded(line))
            except BadLine as error:
                self.result.add_bad(number, str(error))
                continue
            address = kept_address(entry.address)
            view = self._view(entry, address)
            # The id is a hash, too.
            view.event_id = ids.of(line.replace(entry.address.encode(), address.encode()))
            yield view

    def _view(self, entry: LogLine, address: str) -> PageView:
        site = self.site or self._website(self._name(entry))
        agent = describe(entry.user_agent)
        return PageView(
            site=site,
            time=entry.time,
            visitor=visitor_hash(site.pk, day=entry.time.date(), address=address, user_agent=entry.user_agent),
            path=entry.path[:PATH_LENGTH],
            referrer=entry.referrer,
            browser=agent.browser,
            system=agent.system,
            device=agent.device,
            status=entry.status,
            size_bytes=entry.size_bytes,
            is_page=entry.is_page,
        )

    def _name(self, entry: LogLine) -> str:
        if self.site_from == "host":
            return entry.host or self.fallback
        folder, slash, _ = entry.path.lstrip("/").partition("/")
        return folder.lower() if folder and slash else self.fallback

    def _website(self, name: str) -> Website:
        name = name[:HOST_LENGTH]
        if name not in self._sites:
            self._sites[name], _ = Website.objects.get_or_create(domain=name)
        return self._sites[name]

    def _store(self, batch: list[PageView]) -> None:
        """Each website's views with two queries to the one shard that holds it."""
        by_site: dict[int, list[PageView]] = defaultdict(list)
        for view in batch:
            by_site[view.site_id].append(view)
            self.result.sites.add(view.site.domain)
        for site_id, views in by_site.items():
            stored = store_once(views, site_id=site_id)
            self.result.stored += stored
            self.result.known += len(views) - stored
