"""What becomes of each request of a page, as Chromium tells of it."""

from __future__ import annotations

import asyncio

import pytest

from screenshot.boundary import Boundary
from screenshot.errors import OutOfBounds
from screenshot.gate import Gate

SECRET = {"Authorization": "Basic hush"}
SENT = {"headers": [{"name": "Accept", "value": "*/*"}, {"name": "Authorization", "value": "Basic hush"}]}
PASSED, STOPPED = ("Fetch.continueRequest", {}), ("Fetch.failRequest", {"errorReason": "BlockedByClient"})


class Session:
    """Chromium's side: the page's own frame is ``main``. What it is told is in ``sent``."""

    def __init__(self):
        self.sent = []
        self.is_decided = asyncio.Event()

    def on(self, event, handler):
        self.handler = handler

    async def send(self, method, details=None):
        self.sent.append((method, details))
        if "requestId" in (details or {}):
            self.is_decided.set()
        return {"frameTree": {"frame": {"id": "main"}}}


def answered(url, *, kind="Document", frame="main", is_secure=True):
    """What the gate says to a request, and the gate."""
    pytest.importorskip("playwright", reason="needs Playwright: the extra `screenshot`")

    async def run():
        session = Session()
        boundary = Boundary.of("shop.example", allows_private=False)
        gate = Gate(session, boundary, headers=SECRET, is_secure=is_secure)
        await gate.close_in()
        request = {"url": url, "headers": {"Accept": "*/*"}}
        session.handler({"requestId": "1", "request": request, "resourceType": kind, "frameId": frame})
        await session.is_decided.wait()
        method, details = session.sent[-1]
        assert details.pop("requestId") == "1"
        return (method, details), gate

    return asyncio.run(run())


def test_the_website_gets_the_secrets():
    """With its pages and what belongs to them."""
    assert answered("https://shop.example/")[0] == ("Fetch.continueRequest", SENT)
    assert answered("https://www.shop.example/a.png", kind="Image")[0] == ("Fetch.continueRequest", SENT)


@pytest.mark.parametrize("url", ["https://cdn.example/a.js", "https://a.shop.example/a.js", "http://shop.example/a.js"])
def test_nobody_else_gets_them(url):
    """Neither another host nor, for a job that asks by https, the website in clear."""
    assert answered(url, kind="Script")[0] == PASSED


def test_a_job_that_asks_in_clear_sends_in_clear():
    """As on a developer's machine."""
    assert answered("http://shop.example/", is_secure=False)[0] == ("Fetch.continueRequest", SENT)


def test_a_page_stays_on_the_website():
    """A frame in it may be from elsewhere."""
    decision, gate = answered("https://other.example/")
    assert decision == STOPPED
    with pytest.raises(OutOfBounds, match=r"leads to https://other\.example/"):
        gate.check()
    decision, gate = answered("https://other.example/", frame="inner")
    assert decision == PASSED
    gate.check()
