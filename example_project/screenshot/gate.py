"""What a page asks for, request by request: who leaves the website is stopped, and its secrets go to it alone."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from screenshot.boundary import Boundary
from screenshot.errors import OutOfBounds

if TYPE_CHECKING:
    from playwright.async_api import CDPSession


class Gate:
    """Stands in the way of all requests of one page, also of each step of a redirect (Fetch of Chromium's protocol).

    ``headers`` go to the hosts of the website, and in clear only where the job itself names an http URL. ``left``:
    where the page wanted to go in place of itself, and was not let.
    """

    def __init__(self, session: CDPSession, boundary: Boundary, *, headers: Mapping[str, str], is_secure: bool) -> None:
        self.session = session
        self.boundary = boundary
        self.headers = headers
        self.is_secure = is_secure
        self.left = ""
        self._frame = ""
        self._answers: set[asyncio.Task[None]] = set()

    async def close_in(self) -> None:
        """Stand in the way from now on."""
        tree = await self.session.send("Page.getFrameTree")
        self._frame = tree["frameTree"]["frame"]["id"]
        self.session.on("Fetch.requestPaused", self._paused)
        await self.session.send("Fetch.enable", {"patterns": [{"urlPattern": "*"}]})

    def check(self) -> None:
        """Raise ``OutOfBounds`` where the page has tried to leave the website."""
        if self.left:
            raise OutOfBounds(f"leads to {self.left[:100]}, which is no page of the website.")

    def _paused(self, event: dict[str, Any]) -> None:
        answer = asyncio.ensure_future(self._answer(event))
        self._answers.add(answer)
        answer.add_done_callback(self._answers.discard)

    async def _answer(self, event: dict[str, Any]) -> None:
        from playwright.async_api import Error

        method, details = self._decide(event)
        with suppress(Error):  # the page is gone, and its request with it
            await self.session.send(method, {"requestId": event["requestId"], **details})

    def _decide(self, event: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        url: str = event["request"]["url"]
        is_own = self.boundary.owns(url)
        if not is_own and event["resourceType"] == "Document" and event["frameId"] == self._frame:
            self.left = url
            return "Fetch.failRequest", {"errorReason": "BlockedByClient"}
        if not self.headers or not is_own or (self.is_secure and urlsplit(url).scheme != "https"):
            return "Fetch.continueRequest", {}
        # Headers given here are those of this step alone: the next host of a redirect does not get them.
        headers = {**event["request"]["headers"], **self.headers}
        return "Fetch.continueRequest", {"headers": [{"name": name, "value": headers[name]} for name in headers]}
