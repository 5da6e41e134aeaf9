"""The tracker's endpoints: the pixel, the beacon and the script."""

from __future__ import annotations

import json
import uuid

import pytest
from django.core.cache import cache
from django.db import DatabaseError

from track.models import PageView, Website
from track.views import GIF, REPORT_BYTES
from track.visitors import visitor_hash

pytestmark = pytest.mark.django_db(databases=["default", "track"])
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:148.0) Gecko/20100101 Firefox/148.0"


@pytest.fixture
def site():
    return Website.objects.create(domain="a.example", key="abc")


@pytest.fixture
def post(client):
    def send(content, **headers):
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        return client.post("/t/event", body, content_type="text/plain", headers={"User-Agent": FIREFOX, **headers})

    return send


def test_the_pixel_counts(client, site):
    """An image that is never cached; the path is the query's, else the embedding page's."""
    answer = client.get(
        "/t/p.gif?site=abc&path=/x/%3Fsecret&referrer=https://r.example/y", headers={"User-Agent": FIREFOX}
    )
    assert (answer.status_code, answer["Content-Type"], answer.content) == (200, "image/gif", GIF)
    assert "no-store" in answer["Cache-Control"]
    client.get("/t/p.gif?site=abc", headers={"Referer": "https://a.example/embedding/?q=1"})
    views = PageView.objects.filter(site=site).order_by("time")
    assert [(view.path, view.referrer, view.browser) for view in views] == [
        ("/x/", "r.example", "Firefox"),
        ("/embedding/", "", ""),
    ]


@pytest.mark.parametrize(("query", "status"), [("site=nowhere&path=/", 404), ("path=/", 400), ("site=abc&path=x", 400)])
def test_the_pixel_is_an_image_whatever_happens(client, site, query, status):
    """No page shows a broken image; the status and a header tell those who look."""
    answer = client.get(f"/t/p.gif?{query}")
    assert (answer.status_code, answer.content) == (status, GIF)
    assert answer["X-Problem"]
    assert PageView.objects.count() == 0


def test_the_beacon_counts(post, site):
    """It answers with nothing, to any origin."""
    answer = post({"site": "abc", "path": "/a/?q=1", "referrer": "https://www.google.com/search?q=x"})
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer["Access-Control-Allow-Origin"] == "*"
    view = PageView.objects.get(site=site)
    assert (view.path, view.referrer, view.browser, view.device) == ("/a/", "google.com", "Firefox", "desktop")


def test_a_repeated_beacon_counts_once(post, site):
    """The id of a report makes it one event."""
    report = {"site": "abc", "path": "/", "id": str(uuid.uuid4())}
    assert [post(report).status_code for _ in range(3)] == [204, 204, 204]
    assert PageView.objects.filter(site=site).count() == 1


@pytest.mark.parametrize(
    ("content", "status", "says"),
    [
        (b"", 400, "not JSON"),
        (b"{", 400, "not JSON"),
        (b"\xff", 400, "not JSON"),
        (b"[" * 8000, 400, "not JSON"),
        ([], 400, "not a JSON object"),
        ({"path": "/"}, 400, "site"),
        ({"site": "abc"}, 400, "path"),
        ({"site": "abc", "path": "x"}, 400, "path"),
        ({"site": "abc", "path": 7}, 400, "path"),
        ({"site": "abc", "path": "/\x00"}, 400, "path"),
        ({"site": "abc", "path": "/", "id": "7"}, 400, "id"),
        ({"site": ["abc"], "path": "/"}, 404, "site"),
        ({"site": "nowhere", "path": "/"}, 404, "site"),
        ({"site": "abc", "path": "/" + "x" * REPORT_BYTES}, 413, "larger"),
    ],
)
def test_bad_reports_are_told_what_is_wrong(post, site, content, status, says):
    """A JSON answer names the problem, and nothing is stored."""
    answer = post(content)
    assert answer.status_code == status
    assert says in answer.json()["error"]
    assert answer["Access-Control-Allow-Origin"] == "*"
    assert PageView.objects.count() == 0


@pytest.mark.parametrize("header", [{"DNT": "1"}, {"Sec-GPC": "1"}])
def test_who_refuses_is_not_counted(client, post, site, header):
    """The answers are as always."""
    assert post({"site": "abc", "path": "/"}, **header).status_code == 204
    assert client.get("/t/p.gif?site=abc&path=/", headers=header).status_code == 200
    assert PageView.objects.count() == 0


def test_methods(client):
    """The beacon is posted, also after a preflight request; the others are read."""
    preflight = client.options("/t/event")
    assert (preflight.status_code, preflight["Access-Control-Allow-Methods"]) == (204, "POST, OPTIONS")
    assert client.get("/t/event").status_code == 405
    assert client.post("/t/p.gif").status_code == 405


def test_a_shard_that_is_down_breaks_no_page(client, post, site, monkeypatch):
    """The pixel is still one, and both say 503."""

    def fail(*args, **kwargs):
        raise DatabaseError("down")

    monkeypatch.setattr("track.views.store", fail)
    pixel = client.get("/t/p.gif?site=abc&path=/")
    assert (pixel.status_code, pixel.content) == (503, GIF)
    assert post({"site": "abc", "path": "/"}).status_code == 503


def test_the_script(client):
    """It is JavaScript that may be cached and sends a beacon."""
    answer = client.get("/t/track.js")
    assert answer["Content-Type"].startswith("text/javascript")
    assert "max-age=3600" in answer["Cache-Control"]
    assert b"sendBeacon" in answer.content


def test_no_login_is_asked_of_visitors(site):
    """Where the dashboards need a login, the tracker does not."""
    from track import views

    assert [view.login_required for view in (views.pixel, views.event, views.script)] == [False] * 3


def test_visitors_are_others_tomorrow_and_elsewhere():
    """The same address and agent: one number a website and day."""
    from datetime import date

    def number(site=1, day=1, address="192.0.2.1"):
        return visitor_hash(site, day=date(2026, 3, day), address=address, user_agent="UA")

    assert number() == number()
    assert len({number(), number(site=2), number(day=2), number(address="192.0.2.2")}) == 4


@pytest.mark.parametrize(
    ("proxies", "address"), [(0, "127.0.0.1"), (1, "192.0.2.8"), (2, "192.0.2.7"), (3, "127.0.0.1")]
)
def test_the_address_behind_proxies(rf, settings, proxies, address):
    """Only what own proxies appended is believed."""
    from track.collecting import client_address

    settings.PROXIES = proxies
    settings.ANONYMIZE_ADDRESSES = False
    request = rf.get("/", headers={"X-Forwarded-For": "192.0.2.7, 192.0.2.8"})
    assert client_address(request) == address


@pytest.fixture
def few(settings):
    """Two reports a minute, counted from nothing; the minute does not end meanwhile."""
    settings.REPORTS_A_MINUTE = 2
    cache.clear()


@pytest.mark.usefixtures("few")
def test_an_address_sends_so_many_reports_a_minute_and_no_more(post, site, monkeypatch):
    """429 for the rest; another address is another count."""
    monkeypatch.setattr("track.limiting.time.time", lambda: 1_000.0)
    assert [post({"site": "abc", "path": "/"}).status_code for _ in range(4)] == [204, 204, 429, 429]
    assert PageView.objects.filter(site=site).count() == 2
    monkeypatch.setattr("track.limiting.client_address", lambda request: "192.0.2.9")
    assert post({"site": "abc", "path": "/"}).status_code == 204


@pytest.mark.usefixtures("few")
def test_the_next_minute_begins_anew(post, site, monkeypatch):
    """And no address is in the cache."""
    codes = []
    for now in (1_000.0, 1_001.0, 1_002.0, 1_062.0):
        monkeypatch.setattr("track.limiting.time.time", lambda now=now: now)
        codes.append(post({"site": "abc", "path": "/"}).status_code)
    assert codes == [204, 204, 429, 204]
    assert not any("127.0.0.1" in key for key in cache._cache)


@pytest.mark.parametrize(
    ("said", "count"),
    [
        ({}, 0),
        ({"consent": False}, 0),
        ({"consent": "no"}, 0),
        ({"consent": 0}, 0),
        ({"consent": True}, 1),
        ({"consent": "1"}, 1),
    ],
)
def test_without_consent_nobody_is_counted_where_it_is_required(post, site, settings, said, count):
    """The answers are as always."""
    settings.CONSENT_REQUIRED = True
    assert post({"site": "abc", "path": "/", **said}).status_code == 204
    assert PageView.objects.filter(site=site).count() == count


def test_any_origin_may_post_and_nothing_of_a_session_is_in_the_answer(admin_client, site):
    """So that the answer gives nothing away: not to be had with credentials, and the same for everybody."""
    report, origin = json.dumps({"site": "abc", "path": "/"}), {"Origin": "https://else.example"}
    for answer in (
        admin_client.post("/t/event", report, content_type="text/plain", headers=origin),
        admin_client.options("/t/event", headers=origin),
    ):
        assert (answer.status_code, answer["Access-Control-Allow-Origin"]) == (204, "*")
        assert "Access-Control-Allow-Credentials" not in answer
        assert not answer.cookies
        assert "Cookie" not in answer.get("Vary", "")


def test_no_report_is_redirected_to(client, post, site):
    """Whatever address stands in it."""
    answers = [
        post({"site": "abc", "path": "//evil.example/", "referrer": "https://evil.example/"}),
        client.get("/t/p.gif?site=abc&path=//evil.example/&referrer=https://evil.example/&next=https://evil.example/"),
    ]
    assert not any(300 <= answer.status_code < 400 or "Location" in answer for answer in answers)


def test_the_same_code_sends_views_to_firehose(post, site, settings):
    """By settings alone: the database has no row, the stream of the shard has the line."""
    from config.collecting import read_sinks
    from horizon_shards.sinks import record_of, sink_of
    from tests.servers.firehose import InThread

    server = InThread()
    sinks = read_sinks(settings.DATA_DIR, sharded=True)
    client = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    own = {"STREAM": "views-{shard}", "ENDPOINT": server.url, "REGION": "eu-west-1", "CLIENT": client}
    settings.HORIZON_SINKS = {"track": {"BACKEND": "horizon_shards.sinks.FirehoseSink", "OPTIONS": own}}
    assert sinks["track"]["BACKEND"].endswith("DatabaseSink")
    report = {"site": "abc", "path": "/a/", "id": str(uuid.uuid4())}
    assert post(report).status_code == 204
    sink_of(PageView).flush()
    shard = record_of(PageView(site=site)).shard
    (event,) = server.firehose.events(f"views-{shard}")
    assert (event["path"], event["site_id"], PageView.objects.count()) == ("/a/", site.pk, 0)
    server.stop()
    settings.HORIZON_SINKS = {
        "track": {"BACKEND": "horizon_shards.sinks.FirehoseSink", "OPTIONS": {**own, "MAX_QUEUED_BYTES": 1}}
    }
    assert post(report).status_code == 503
    server.close()
