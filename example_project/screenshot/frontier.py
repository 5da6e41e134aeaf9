"""The pages of a crawl that wait: each is given out once, and no page waits when the workers are told to end."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence


class Frontier:
    """The queue of one crawl, from ``first`` along links, at most ``depth`` of them in a row, ``pages`` pages in all.

    A worker that finds nothing waits while another one is busy: its page may have links. So the workers end when
    nothing waits and nobody is busy, and not before.
    """

    def __init__(self, first: str, *, depth: int, pages: int) -> None:
        self.depth = depth
        self.pages = pages
        self._depths = {first: 0}
        self._links: dict[str, Sequence[str]] = {}
        self._waiting = deque([first])
        self._given: set[str] = set()
        self._shown: set[str] = set()
        self._busy = 0
        self._changed = asyncio.Condition()

    async def take(self) -> str | None:
        """The next page, or None at the end; each page has to be given back by ``finish()``."""
        async with self._changed:
            while not self._has_page() and self._busy:
                await self._changed.wait()
            if not self._has_page():
                return None
            url = self._waiting.popleft()
            self._given.add(url)
            self._busy += 1
            return url

    async def finish(self, url: str, links: Sequence[str] = ()) -> None:
        """A worker is done with a page that has these links."""
        async with self._changed:
            self._busy -= 1
            self._follow(url, links)
            self._changed.notify_all()

    def is_new(self, url: str) -> bool:
        """Whether no other page has led to this URL; it is noted as one that is shown."""
        if url in self._shown:
            return False
        self._shown.add(url)
        return True

    def _has_page(self) -> bool:
        if len(self._given) >= self.pages:
            self._waiting.clear()
        return bool(self._waiting)

    def _follow(self, url: str, links: Sequence[str]) -> None:
        """Note links; a page that is found by a shorter way than before has its own links followed further."""
        self._links[url] = links
        depth = self._depths[url] + 1
        if depth > self.depth:
            return
        for link in links:
            known = self._depths.get(link)
            if known is None:
                self._depths[link] = depth
                self._waiting.append(link)
            elif depth < known:
                self._depths[link] = depth
                self._follow(link, self._links.get(link, ()))
