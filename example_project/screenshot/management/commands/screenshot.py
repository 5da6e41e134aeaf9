"""``manage.py screenshot``: take screenshots of a website, or list the newest ones."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from screenshot.errors import ScreenshotError
from screenshot.ordering import failure, order
from screenshot.stores import store
from track.management.websites import website_named
from track.models import Website

LOOK = ("width", "height", "full_page", "wait_seconds", "wait_for", "depth", "pages")


class Command(BaseCommand):
    """Make a job; it is done at once, or by a worker of the queue that the settings name."""

    help = (
        "Takes screenshots of a page of a website and of those behind its links. Headers, cookies, user and password "
        "are read from --config alone: what stands on a command line can be read by others."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Which page, how, and how far along its links."""
        parser.add_argument("site", help="key or domain of the website")
        parser.add_argument("url", nargs="?", help="the page; without it, the front page by https")
        parser.add_argument("--config", metavar="FILE", help="the job's configuration as JSON; - reads standard input")
        parser.add_argument("--width", type=int, help="of the window, in pixels (1280)")
        parser.add_argument("--height", type=int, help="of the window, in pixels (800)")
        parser.add_argument(
            "--full-page", action="store_true", default=None, help="all of the page, not the window alone"
        )
        parser.add_argument("--wait-seconds", type=float, help="how long to wait when the page is loaded")
        parser.add_argument("--wait-for", metavar="CSS", help="wait until the page has such an element")
        parser.add_argument("--depth", type=int, help="how many links in a row to follow (0)")
        parser.add_argument("--pages", type=int, help="how many pages to load at most (1)")
        parser.add_argument("--list", action="store_true", help="list the newest screenshots and take none")

    def handle(self, *, site: str, url: str | None, config: str | None, **options: Any) -> None:
        """Take or list, and tell; raises ``CommandError`` that says what is wrong."""
        website = website_named(site)
        try:
            if options["list"]:
                self._list(website)
            else:
                given = {name: options[name] for name in LOOK if options[name] is not None}
                self._take(website, url, {**_read(config), **given})
        except ScreenshotError as error:
            raise CommandError(str(error)) from error

    def _take(self, website: Website, url: str | None, config: dict[str, Any]) -> None:
        result = order(website, url, config)
        if why := failure(result):
            raise CommandError(why)
        if not result.is_finished:
            self.stdout.write(f"Enqueued: {url or website.domain}")
            return
        done = result.return_value
        for page, error in done["errors"].items():
            self.stderr.write(f"{page}: {error}")
        self.stdout.write(f"{len(done['names'])} screenshots of {website.domain}, {len(done['errors'])} pages failed.")

    def _list(self, website: Website) -> None:
        for shot in store().newest(website.pk, limit=20):
            self.stdout.write(f"{shot.asked:%Y-%m-%d %H:%M:%S}  {shot.width}x{shot.height}  {shot.name}  {shot.url}")


def _read(path: str | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        found = json.loads(sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CommandError(f"--config {path} cannot be read as JSON: {error}") from error
    if not isinstance(found, dict):
        raise CommandError(f"--config {path} is no JSON object.")
    return found
