"""Write the access log that ships with the example: the same bytes at every run, made up from a seed.

Sixteen websites over two weeks, in the form that nginx and Apache call "vhost combined": people who come in
sessions with a daily rhythm, crawlers, feed readers, scanners that look for holes, and a few broken lines.
Addresses come from the ranges that RFC 5737 and RFC 3849 keep for documentation, names from RFC 2606.
"""

from __future__ import annotations

import argparse
import gzip
import math
import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

SEED = 20260302
START = datetime(2026, 3, 2, tzinfo=timezone.utc)
DAYS = 14
SESSIONS = 1_350
TARGET = Path(__file__).resolve().parent.parent / "data" / "access_log.gz"

#: Name, weight, and the pages beside "/", the popular ones first.
SITES: tuple[tuple[str, int, tuple[str, ...]], ...] = (
    ("news.example", 21, ("/politics/", "/sport/", "/weather/", "/culture/", "/sport/results/", "/about/")),
    ("blog.example", 15, ("/2026/sharding-in-practice/", "/2026/boring-backups/", "/archive/", "/tags/sql/", "/feed/")),
    ("shop.example", 14, ("/cart/", "/lamps/", "/lamps/brass-desk-lamp/", "/chairs/", "/checkout/", "/returns/")),
    ("docs.example", 12, ("/install/", "/tutorial/", "/reference/settings/", "/changelog/", "/faq/")),
    ("recipes.example", 9, ("/bread/", "/bread/sourdough/", "/soups/", "/soups/borscht/", "/seasonal/")),
    ("photos.example", 8, ("/albums/", "/albums/iceland/", "/albums/lisbon/", "/prints/")),
    ("museum.example", 8, ("/visit/", "/exhibitions/", "/exhibitions/glass/", "/collection/", "/tickets/")),
    ("jobs.example", 7, ("/engineering/", "/engineering/backend/", "/design/", "/apply/")),
    ("forum.example", 7, ("/latest/", "/t/which-database/", "/t/introductions/", "/members/", "/search/")),
    ("travel.example", 6, ("/trains/", "/trains/night-trains/", "/cities/vienna/", "/cities/porto/")),
    ("wiki.example", 6, ("/Main_Page/", "/Sharding/", "/Horizon/", "/Recent_changes/", "/Help/")),
    ("music.example", 5, ("/charts/", "/new/", "/artists/", "/radio/")),
    ("books.example", 5, ("/new/", "/poetry/", "/novels/", "/events/")),
    ("school.example", 4, ("/timetable/", "/parents/", "/library/", "/contact/")),
    ("garden.example", 3, ("/march/", "/tomatoes/", "/compost/")),
    ("clinic.example", 2, ("/appointments/", "/doctors/", "/directions/")),
)
_MOZILLA = "Mozilla/5.0"
_KIT = "AppleWebKit/537.36 (KHTML, like Gecko)"
PEOPLE: tuple[tuple[str, int], ...] = (
    (f"{_MOZILLA} (Windows NT 10.0; Win64; x64) {_KIT} Chrome/145.0.0.0 Safari/537.36", 26),
    (f"{_MOZILLA} (Linux; Android 10; K) {_KIT} Chrome/145.0.0.0 Mobile Safari/537.36", 22),
    (
        (
            f"{_MOZILLA} (iPhone; CPU iPhone OS 18_3 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
            "Version/18.3 Mobile/15E148 Safari/604.1"
        ),
        19,
    ),
    (f"{_MOZILLA} (Macintosh; Intel Mac OS X 10_15_7) {_KIT} Chrome/145.0.0.0 Safari/537.36", 9),
    (
        (
            f"{_MOZILLA} (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) "
            "Version/18.3 Safari/605.1.15"
        ),
        8,
    ),
    (f"{_MOZILLA} (Windows NT 10.0; Win64; x64; rv:148.0) Gecko/20100101 Firefox/148.0", 7),
    (f"{_MOZILLA} (Windows NT 10.0; Win64; x64) {_KIT} Chrome/145.0.0.0 Safari/537.36 Edg/145.0.0.0", 7),
    (f"{_MOZILLA} (X11; Linux x86_64; rv:148.0) Gecko/20100101 Firefox/148.0", 4),
    (
        (
            f"{_MOZILLA} (iPad; CPU OS 18_3 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
            "Version/18.3 Mobile/15E148 Safari/604.1"
        ),
        3,
    ),
    (f"{_MOZILLA} (Linux; Android 14; SM-X710) {_KIT} SamsungBrowser/27.0 Chrome/125.0.0.0 Safari/537.36", 2),
)
CRAWLERS: tuple[tuple[str, int], ...] = (
    (f"{_MOZILLA} (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", 5),
    (f"{_MOZILLA} (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)", 3),
    (f"{_MOZILLA} (compatible; YandexBot/3.0; +http://yandex.com/bots)", 2),
    ("FeedFetcher-Google; (+http://www.google.com/feedfetcher.html)", 1),
)
REFERRERS: tuple[tuple[str, int], ...] = (
    ("-", 42),
    ("https://www.google.com/", 27),
    ("https://duckduckgo.com/", 7),
    ("https://www.bing.com/", 6),
    ("https://news.ycombinator.com/", 5),
    ("https://mastodon.social/", 4),
    ("https://www.reddit.com/r/django/", 4),
    ("https://github.com/", 3),
    ("https://en.wikipedia.org/", 2),
)
SCANS = ("/wp-login.php", "/.env", "/xmlrpc.php", "/phpmyadmin/", "/.git/config", "/admin.php")
ASSETS = ("/static/site.css", "/static/site.js", "/static/logo.svg", "/favicon.ico")
BROKEN = (
    b"",
    b"news.example:443 192.0.2.17 - - [05/Mar/2026:07:12:",
    b"kernel: nf_conntrack: table full, dropping packet",
    b'shop.example:443 198.51.100.4 - - [07/Foo/2026:25:61:00 +0000] "GET / HTTP/1.1" 200 512 "-" "-"',
    b'docs.example:443 203.0.113.9 - - [08/Mar/2026:11:00:41 +0000] "\\x16\\x03\\x01\\x02" 400 157 "-" "-"',
    b'\xff\xfe\x00garbage\x00\x01 "GET',
    b'blog.example:443 192.0.2.80 - - [11/Mar/2026:04:10:00 +0000] "GET / HTTP/1.1" two-hundred - "-" "-"',
)


@dataclass(frozen=True)
class Entry:
    """One line of the log, before it is written."""

    at: datetime
    host: str
    address: str
    method: str
    path: str
    status: int
    size: int
    referrer: str
    agent: str

    def line(self) -> str:
        """The line as a server writes it, without its end."""
        at = self.at.strftime("%d/%b/%Y:%H:%M:%S +0000")
        size = self.size or "-"
        return (
            f'{self.host}:443 {self.address} - - [{at}] "{self.method} {self.path} HTTP/2.0" '
            f'{self.status} {size} "{self.referrer}" "{self.agent}"'
        )


class Traffic:
    """Invents visits. Only ``random()`` and ``choices()`` are drawn from: they give the same on every Python."""

    def __init__(self, *, seed: int) -> None:
        self.random = random.Random(seed)

    def below(self, limit: int) -> int:
        """A whole number from 0 to ``limit - 1``."""
        return int(self.random.random() * limit)

    def pick(self, weighted: tuple[tuple[str, int], ...]) -> str:
        """One of the texts, by weight."""
        return self.random.choices([text for text, _ in weighted], weights=[weight for _, weight in weighted])[0]

    def moment(self) -> datetime:
        """A second of the fortnight: busy in the evening, quiet at night, a little less at the weekend."""
        while True:
            at = START + timedelta(seconds=self.below(DAYS * 86_400))
            hour = at.hour + at.minute / 60
            rhythm = 0.18 + 0.82 * (0.5 - 0.5 * math.cos((hour - 3.5) / 24 * 2 * math.pi)) ** 1.3
            if self.random.random() < rhythm * (0.7 if at.weekday() >= 5 else 1.0):
                return at

    def address(self) -> str:
        """An address of the ranges for documentation."""
        if self.random.random() < 0.15:
            return f"2001:db8:{self.below(0xFFFF):x}::{self.below(0xFFFF):x}"
        return f"{('192.0.2', '198.51.100', '203.0.113')[self.below(3)]}.{1 + self.below(254)}"

    def session(self) -> Iterator[Entry]:
        """A person who reads a few pages of one website."""
        host, _, pages = self.random.choices(SITES, weights=[weight for _, weight, _ in SITES])[0]
        at, address, agent, referrer = self.moment(), self.address(), self.pick(PEOPLE), self.pick(REFERRERS)
        path = "/" if self.random.random() < 0.45 else self._page(pages)
        for number in range(1 + min(6, int(-1.9 * math.log(1 - self.random.random())))):
            gone = self.random.random() < 0.02
            yield self._hit(at, host, address, agent, path + ("old/" if gone else ""), referrer, 404 if gone else 200)
            if number == 0:
                yield from self._assets(at, host, address, agent, path)
            referrer, path = f"https://{host}{path}", self._page(pages)
            at += timedelta(seconds=8 + self.below(150))

    def crawl(self) -> Iterator[Entry]:
        """A crawler that reads the rules and then some pages of one website."""
        host, _, pages = SITES[self.below(len(SITES))]
        at, address, agent = self.moment(), self.address(), self.pick(CRAWLERS)
        for path in ("/robots.txt", "/", *(self._page(pages) for _ in range(self.below(5)))):
            yield self._hit(at, host, address, agent, path, "-", 200)
            at += timedelta(seconds=2 + self.below(30))

    def scan(self) -> Iterator[Entry]:
        """A scanner that tries known holes."""
        host, _, _ = SITES[self.below(len(SITES))]
        at, address = self.moment(), self.address()
        for path in SCANS[self.below(3) :]:
            yield self._hit(at, host, address, "python-requests/2.32.3", path, "-", 404)
            at += timedelta(seconds=1)

    def _page(self, pages: tuple[str, ...]) -> str:
        return self.random.choices(pages, weights=[1 / (rank + 1.4) for rank in range(len(pages))])[0]

    def _assets(self, at: datetime, host: str, address: str, agent: str, path: str) -> Iterator[Entry]:
        for asset in ASSETS:
            if self.random.random() < 0.45:
                status = 304 if self.random.random() < 0.3 else 200
                yield self._hit(at + timedelta(seconds=1), host, address, agent, asset, f"https://{host}{path}", status)

    def _hit(self, at: datetime, host: str, address: str, agent: str, path: str, referrer: str, status: int) -> Entry:
        size = {304: 0, 404: 548}.get(status, 1_800 + self.below(46_000))
        method = "POST" if path == "/checkout/" and self.random.random() < 0.3 else "GET"
        return Entry(at, host, address, method, path, status, size, referrer, agent)


def lines(*, seed: int = SEED) -> Iterator[bytes]:
    """The lines of the log in the order of time, the broken ones spread among them."""
    traffic = Traffic(seed=seed)
    entries = [entry for _ in range(SESSIONS) for entry in traffic.session()]
    entries += [entry for _ in range(190) for entry in traffic.crawl()]
    entries += [entry for _ in range(36) for entry in traffic.scan()]
    entries = [entry for entry in entries if entry.at < START + timedelta(days=DAYS)]
    entries.sort(key=lambda entry: entry.at)
    gap = len(entries) // len(BROKEN)
    for number, entry in enumerate(entries):
        yield entry.line().encode()
        if number % gap == gap // 2 and number // gap < len(BROKEN):
            yield BROKEN[number // gap]


def main() -> None:
    """Write the log where the first argument says, by default where the example looks for it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("target", nargs="?", type=Path, default=TARGET)
    target: Path = parser.parse_args().target
    made = list(lines())
    # No name and no time in the gzip header: the same log gives the same file.
    with target.open("wb") as raw, gzip.GzipFile("", "wb", compresslevel=9, fileobj=raw, mtime=0) as packed:
        packed.writelines(line + b"\n" for line in made)
    sys.stdout.write(f"{target}: {len(made):,} lines, {target.stat().st_size:,} bytes\n")


if __name__ == "__main__":
    main()
