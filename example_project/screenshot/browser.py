"""Chromium, headless, through Playwright: one for a job, behind a proxy of its own."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from config.screenshots import Screenshots
from screenshot.boundary import Boundary
from screenshot.configuration import Look, Secrets
from screenshot.errors import BrowserError, PageError
from screenshot.gate import Gate
from screenshot.jobs import Job
from screenshot.proxy import Proxy

if TYPE_CHECKING:
    from playwright.async_api import Browser as Chromium
    from playwright.async_api import BrowserContext, Page, Response

NAMES = ("chromium", "chromium-browser", "google-chrome")
START_SECONDS = 180
#: Pages without end are cut.
MAX_HEIGHT = 16_384
MAX_LINKS = 500
ARGUMENTS = ["--webrtc-ip-handling-policy=disable_non_proxied_udp"]
READ_LINKS = f"""links => links.map(link => link.href).filter(url => typeof url == "string").slice(0, {MAX_LINKS})"""


@dataclass(frozen=True, slots=True)
class Taken:
    """What came of a page: its URL in the end, the answer's status, the PNG and its size, and the links to the site."""

    url: str
    status: int
    image: bytes
    width: int
    height: int
    links: list[str]


def browser_path(found: Screenshots) -> str:
    """The browser's program; raises ``BrowserError`` that says how to get one."""
    path = found.browser or next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        raise BrowserError(
            "There is no Chromium: apt-get install chromium, or set SCREENSHOT_BROWSER to the path of one."
        )
    return path


@asynccontextmanager
async def open_browser(boundary: Boundary, found: Screenshots) -> AsyncIterator[Browser]:
    """A browser for the pages of a website, until the end of the block; raises ``BrowserError`` where none starts."""
    try:
        from playwright.async_api import Error, async_playwright
    except ImportError as error:
        raise BrowserError("Screenshots need Playwright: pip install 'horizon-shards[screenshot]'.") from error
    path = browser_path(found)
    async with Proxy(boundary) as proxy, async_playwright() as playwright:
        try:
            chromium = await playwright.chromium.launch(
                executable_path=path,
                chromium_sandbox=not found.no_sandbox,
                proxy={"server": proxy.url},
                args=ARGUMENTS,
                timeout=START_SECONDS * 1_000,
            )
        except Error as error:
            raise BrowserError(_why(path, error.message)) from error
        async with chromium:
            yield Browser(chromium, proxy, seconds=found.seconds)


class Browser:
    """Takes screenshots, each in a context of its own, which shares no cookies with another.

    ``seconds``: how long a page may take to load, and as long again to be drawn, besides the waits of its job.
    """

    def __init__(self, chromium: Chromium, proxy: Proxy, *, seconds: float) -> None:
        self.seconds = seconds
        self.chromium = chromium
        self.proxy = proxy
        self.boundary = proxy.boundary

    async def take(self, url: str, job: Job) -> Taken:
        """Load a page and take its screenshot.

        Raises ``PageError`` where this page fails, ``BrowserError`` where the browser does.
        """
        from playwright.async_api import Error

        seconds = 2 * self.seconds + job.look.wait_seconds
        try:
            return await asyncio.wait_for(self._take(url, job), seconds)
        except Error as error:
            if not self.chromium.is_connected():
                raise BrowserError(f"The browser has died at {url}.") from error
            raise PageError(self._reason(url, error.message)) from error
        except asyncio.TimeoutError as error:
            raise PageError(f"took longer than {seconds:g} seconds.") from error

    async def _take(self, url: str, job: Job) -> Taken:
        from playwright.async_api import Error

        context = await self.chromium.new_context(
            viewport={"width": job.look.width, "height": job.look.height},
            service_workers="block",
            accept_downloads=False,
        )
        async with context:
            page = await context.new_page()
            page.set_default_timeout(self.seconds * 1_000)
            gate = await self._let_in(context, page, url, job.secrets)
            try:
                status = _status(await page.goto(url))
                await _wait(page, job.look)
                image, width, height = await _draw(page, job.look)
            except Error:
                gate.check()
                raise
            gate.check()
            final = self.boundary.page(page.url)
            return Taken(final, status, image, width, height, await self._links(page))

    async def _let_in(self, context: BrowserContext, page: Page, url: str, secrets: Secrets) -> Gate:
        """Give the website its secrets, and no other."""
        is_secure = urlsplit(url).scheme == "https"
        session = await context.new_cdp_session(page)
        gate = Gate(session, self.boundary, headers=secrets.all_headers(), is_secure=is_secure)
        await gate.close_in()
        origin = url.partition("?")[0]
        await context.add_cookies(
            [
                {"name": name, "value": value, "url": origin, "secure": is_secure, "httpOnly": True}
                for name, value in secrets.cookies.items()
            ]
        )
        return gate

    async def _links(self, page: Page) -> list[str]:
        """The pages of the website that it links to, each once, in their order."""
        found: list[Any] = await page.eval_on_selector_all("a[href]:not([download])", READ_LINKS)
        return list(dict.fromkeys(self.boundary.page(link) for link in found if self.boundary.owns(link)))

    def _reason(self, url: str, message: str) -> str:
        """Why a page failed: what the proxy says of its host, else the first line of the browser's own words."""
        host = (urlsplit(url).hostname or "").rstrip(".")
        if "ERR_SOCKS" in message and host in self.proxy.refused:
            return self.proxy.refused[host]
        return f"{message.strip().splitlines()[0]}."


async def _wait(page: Page, look: Look) -> None:
    if look.wait_for:
        await page.wait_for_selector(f"css={look.wait_for}")
    await asyncio.sleep(look.wait_seconds)


async def _draw(page: Page, look: Look) -> tuple[bytes, int, int]:
    """The PNG, its width and its height, which stand at the beginning of each PNG."""
    clip = None
    if look.full_page:
        height = await page.evaluate("document.documentElement.scrollHeight")
        clip = {"x": 0, "y": 0, "width": look.width, "height": min(max(height, look.height), MAX_HEIGHT)}
    image = await page.screenshot(full_page=look.full_page, clip=clip)
    return image, int.from_bytes(image[16:20], "big"), int.from_bytes(image[20:24], "big")


def _status(response: Response | None) -> int:
    """The status of the answer; raises ``PageError`` for one that tells of a failure."""
    status = response.status if response is not None else 200
    if status >= 400:
        raise PageError(f"answered {status}.")
    return status


def _why(path: str, message: str) -> str:
    """Why a browser does not start, with the cure of what is most often the reason."""
    if "sandbox" in message.lower():
        return (
            f"{path} does not start with its sandbox, as is so for root and in many containers. Run it as another "
            "user; or, for websites that you trust alone, set SCREENSHOT_NO_SANDBOX=1."
        )
    return f"{path} does not start: {message.strip().splitlines()[0]}"
