"""Lines of access logs, good and bad."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from track.access_log import BadLine, parse_line, path_of, referrer_host

COMBINED = (
    '192.0.2.7 - bob [17/May/2015:10:05:03 +0200] "GET /a/b.html?x=1 HTTP/1.1" 200 203 '
    '"http://www.C.d/e?f" "UA \\"q\\""'
)


def test_a_combined_line():
    """Each part of a line is read; the time is in UTC, the query and the referrer's path are left out."""
    line = parse_line(COMBINED)
    assert (line.host, line.address, line.method, line.path) == ("", "192.0.2.7", "GET", "/a/b.html")
    assert line.time == datetime(2015, 5, 17, 8, 5, 3, tzinfo=timezone.utc)
    assert (line.status, line.size_bytes, line.referrer, line.user_agent) == (200, 203, "c.d", 'UA \\"q\\"')


@pytest.mark.parametrize("prefix", ["shop.Example:443 ", "shop.example "])
def test_a_virtual_host_in_front(prefix):
    """The virtual host is taken with or without its port, in small letters."""
    line = parse_line(prefix + COMBINED)
    assert line.host == "shop.example"
    assert line.address == "192.0.2.7"


def test_common_format_and_ipv6():
    """The common format has no referrer and no agent; an address may be of version 6."""
    line = parse_line('2001:db8::7 - - [17/May/2015:10:05:03 +0000] "HEAD / HTTP/1.0" 304 -')
    assert (line.address, line.referrer, line.user_agent, line.size_bytes) == ("2001:db8::7", "", "", 0)


@pytest.mark.parametrize(
    ("target", "status", "method", "page"),
    [
        ("/", 200, "GET", True),
        ("/a/", 304, "GET", True),
        ("/a.html", 200, "GET", True),
        ("/a/", 404, "GET", False),
        ("/a/", 200, "POST", False),
        ("/a.PNG", 200, "GET", False),
        ("/feed.xml?page=1", 200, "GET", False),
    ],
)
def test_what_a_page_is(target, status, method, page):
    """A page was shown: images, forms and failures are requests only."""
    line = parse_line(f'192.0.2.7 - - [17/May/2015:10:05:03 +0000] "{method} {target} HTTP/1.1" {status} 1 "-" "-"')
    assert line.is_page is page


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("", "empty"),
        ("   ", "empty"),
        ("garbage", "combined"),
        (COMBINED[:60], "combined"),
        (COMBINED.replace("17/May/2015", "31/Feb/2015"), "time"),
        (COMBINED.replace("May", "Mai"), "time"),
        (COMBINED.replace(":10:05:03", ":10:61:03"), "time"),
        (COMBINED.replace("+0200", "+9900"), "time"),
        (COMBINED.replace("17/May/2015", "01/Jan/0001"), "time"),
        (COMBINED.replace("GET /a/b.html?x=1 HTTP/1.1", "\\x16\\x03"), "not HTTP"),
        (COMBINED.replace(" 200 ", " two "), "combined"),
        (COMBINED.replace("203", "9" * 40), "combined"),
        ("\x00\x01\x02", "combined"),
    ],
)
def test_bad_lines_say_what_is_wrong(line, reason):
    """Whatever the line holds, the error is ``BadLine`` and names the part."""
    with pytest.raises(BadLine, match=reason):
        parse_line(line)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("-", ""),
        ("", ""),
        ("https://www.google.com/search?q=secret", "google.com"),
        ("http://[::1", ""),
        ("android-app://com.example/", "com.example"),
        ("https://user:secret@h.example:8443/", "h.example"),
    ],
)
def test_only_the_referring_host_is_kept(url, host):
    """Search words, ports and passwords are nobody's business."""
    assert referrer_host(url) == host


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/a?b=c", "/a"),
        ("http://h.example/a?b", "/a"),
        ("http://h.example", "/"),
        ("*", "*"),
        ("/#x", "/"),
        ("//x/y", "//x/y"),
    ],
)
def test_paths_have_no_query(target, path):
    """The path of a request's target, whichever form it has."""
    assert path_of(target) == path
