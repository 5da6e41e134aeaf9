"""The work of one job: the page that was asked for and those behind its links, by a bounded number of workers."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from config.screenshots import Screenshots
from screenshot.boundary import Boundary
from screenshot.browser import Browser, open_browser
from screenshot.errors import PageError, ScreenshotError
from screenshot.frontier import Frontier
from screenshot.jobs import Job
from screenshot.shots import Shot
from screenshot.stores import Store

logger = logging.getLogger(__name__)
Result = TypeVar("Result")
#: After so long no further page is loaded. The time-out of the task is longer by more than a page may take.
CRAWL_SECONDS = 720


@dataclass(slots=True)
class Report:
    """What was stored, and why which pages were not."""

    shots: list[Shot] = field(default_factory=list)
    errors: dict[str, str] = field(default_factory=dict)


def take(job: Job, *, boundary: Boundary, store: Store, found: Screenshots) -> Report:
    """Take the screenshots of a job and store them.

    A page that fails is in the report; where it is the one that was asked for, ``ScreenshotError`` is raised. Raises
    ``BrowserError`` and ``StoreError`` as well: a job that is tried again replaces what it has stored before.
    """
    try:
        first = boundary.page(job.url)
    except PageError as error:
        raise ScreenshotError(str(error)) from error
    crawl = Crawl(job, first, boundary=boundary, store=store, found=found)
    run_apart(crawl.run())
    if first in crawl.report.errors:
        raise ScreenshotError(f"{first}: {crawl.report.errors[first]}")
    return crawl.report


class Crawl:
    """The workers of one job, the pages that wait, and the report."""

    def __init__(self, job: Job, first: str, *, boundary: Boundary, store: Store, found: Screenshots) -> None:
        self.job = job
        self.first = first
        self.boundary = boundary
        self.store = store
        self.settings = found
        self.report = Report()
        self._until = time.monotonic() + CRAWL_SECONDS
        self.frontier = Frontier(first, depth=job.look.depth, pages=job.look.pages)

    async def run(self) -> None:
        """Work until no page waits."""
        async with open_browser(self.boundary, self.settings) as browser:
            workers = [
                asyncio.ensure_future(self._work(browser))
                for _ in range(min(self.settings.workers, self.job.look.pages))
            ]
            try:
                await asyncio.gather(*workers)
            finally:
                for worker in workers:
                    worker.cancel()
                await asyncio.gather(*workers, return_exceptions=True)

    async def _work(self, browser: Browser) -> None:
        while (url := await self.frontier.take()) is not None:
            links: list[str] = []
            try:
                links = await self._take(browser, url)
            except PageError as error:
                logger.warning("No screenshot of %s: %s", url, error)
                self.report.errors[url] = str(error)
            finally:
                await self.frontier.finish(url, links)

    async def _take(self, browser: Browser, url: str) -> list[str]:
        if time.monotonic() > self._until:
            raise PageError(f"was not loaded: the job had taken {CRAWL_SECONDS} seconds before its turn.")
        taken = await browser.take(url, self.job)
        if self.frontier.is_new(taken.url):
            shot = Shot(
                site_id=self.job.site_id,
                url=taken.url,
                asked_ms=self.job.asked_ms,
                is_first=url == self.first,
                status=taken.status,
                width=taken.width,
                height=taken.height,
            )
            await asyncio.to_thread(self.store.put, shot, taken.image)
            self.report.shots.append(shot)
        return taken.links


def run_apart(work: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine in a thread of its own, and end it where this one is interrupted.

    The time-out of a task is a signal in the main thread: within an event loop it would hit anything. And Django's ORM
    refuses to be asked in a thread that has one.
    """
    cancel: list[Callable[[], object]] = []
    ended, done = threading.Event(), threading.Event()

    async def main() -> Result:
        task, loop = asyncio.ensure_future(work), asyncio.get_running_loop()
        cancel.append(lambda: loop.call_soon_threadsafe(task.cancel))
        if ended.is_set():
            task.cancel()
        return await task

    def run() -> Result:
        try:
            return asyncio.run(main())
        finally:
            done.set()

    with ThreadPoolExecutor(1, thread_name_prefix="screenshots") as pool:
        try:
            return pool.submit(run).result()
        except BaseException:
            ended.set()
            with suppress(IndexError, RuntimeError):  # it has not begun, or its loop is closed
                cancel[0]()
                # The pool does not wait for a thread in whose start it was interrupted.
                done.wait()
            raise
