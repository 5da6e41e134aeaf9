"""Lines of Apache and nginx access logs: the combined format, with or without the virtual host in front."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from urllib.parse import urlsplit

#: ``host:port address identity user [time] "request" status size "referrer" "agent"``, the host not always.
#: Source: Apache's ``LogFormat "%v:%p %h %l %u %t \"%r\" %>s %O \"%{Referer}i\" \"%{User-Agent}i\"" vhost_combined``.
_LINE = re.compile(
    r"^(?:(?P<host>[^\s:]+)(?::\d+)? )?(?P<address>[0-9A-Za-z.:%_-]+) \S+ \S+ "
    r"\[(?P<time>[^\]]{20,30})\] "
    r'"(?P<request>(?:[^"\\]|\\.)*)" (?P<status>\d{3}) (?P<size>\d{1,18}|-)'
    r'(?: "(?P<referrer>(?:[^"\\]|\\.)*)" "(?P<agent>(?:[^"\\]|\\.)*)")?\s*$'
)
_REQUEST = re.compile(r"^(?P<method>[A-Z]{3,20}) (?P<target>\S+)(?: HTTP/\d(?:\.\d)?)?$")
_TIME = re.compile(r"^(\d{2})/([A-Z][a-z]{2})/(\d{4}):(\d{2}):(\d{2}):(\d{2}) ([+-])(\d{2})(\d{2})$")
#: English whatever the locale of the machine is, which ``strptime`` would follow.
_MONTHS = {
    name: number
    for number, name in enumerate(
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"], 1
    )
}
_ASSET = re.compile(
    r"\.(?:css|js|mjs|map|json|xml|txt|rss|atom|png|jpe?g|gif|svg|webp|avif|ico|woff2?|ttf|eot|otf|mp[34]|webm|ogg"
    r"|pdf|zip|gz|bz2|tgz|tar|rpm|deb|jar|exe|dmg|iso)$",
    re.I,
)


class BadLine(ValueError):
    """A line that is not an entry of an access log; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """One request, as a server logged it. ``host`` is empty where the format has no virtual host."""

    host: str
    address: str
    time: datetime
    method: str
    path: str
    status: int
    size_bytes: int
    referrer: str
    user_agent: str

    @property
    def is_page(self) -> bool:
        """Whether somebody was shown a page: no image, script, feed, form or failure."""
        return self.method == "GET" and self.status < 400 and not _ASSET.search(self.path)


def parse_line(line: str) -> LogLine:
    """Read one line, without its end; raises ``BadLine``."""
    if not line.strip():
        raise BadLine("the line is empty")
    if (found := _LINE.match(line)) is None:
        raise BadLine("not the combined log format")
    method, path = _request(found["request"])
    return LogLine(
        host=(found["host"] or "").lower(),
        address=found["address"],
        time=_time(found["time"]),
        method=method,
        path=path,
        status=int(found["status"]),
        size_bytes=0 if found["size"] == "-" else int(found["size"]),
        referrer=referrer_host(found["referrer"] or ""),
        user_agent=found["agent"] or "",
    )


def referrer_host(url: str) -> str:
    """The host of a referring page in small letters, or an empty text: the rest of the URL is nobody's business."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return ""
    return host.removeprefix("www.")[:255]


def path_of(target: str) -> str:
    """The path of a URL or of a request's target, without the query; ``/`` where there is none."""
    try:
        path = urlsplit(target).path if "://" in target[:12] else target.partition("?")[0].partition("#")[0]
    except ValueError:
        path = ""
    return path or "/"


def _request(request: str) -> tuple[str, str]:
    if (found := _REQUEST.match(request)) is None:
        raise BadLine(f"the request is not HTTP: {request[:40]!r}")
    return found["method"], path_of(found["target"])


def _time(text: str) -> datetime:
    # Not every database can store what was before.
    if (found := _TIME.match(text)) is None or found[2] not in _MONTHS or int(found[3]) < 1970:
        raise BadLine(f"the time is not one: {text!r}")
    day, _, year, hour, minute, second, sign, ahead_hours, ahead_minutes = found.groups()
    ahead = timedelta(hours=int(ahead_hours), minutes=int(ahead_minutes)) * (1 if sign == "+" else -1)
    try:
        date = (int(year), _MONTHS[found[2]], int(day))
        moment = datetime(*date, int(hour), int(minute), int(second), tzinfo=timezone(ahead))
        return moment.astimezone(timezone.utc)
    except (ValueError, OverflowError):
        raise BadLine(f"the time is not one: {text!r}") from None
