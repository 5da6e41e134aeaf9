"""Profiles of visitors, wherever they are: asked of the stored views, or in DynamoDB."""

from __future__ import annotations

import json
import uuid
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace

import pytest
from dynamodb import OPTIONS, dynamodb_server  # noqa: F401 - a fixture

from config.profiles import read_profiles
from track.models import PageView, Website
from track.profiles import profiles

pytestmark = pytest.mark.django_db(databases=["default", "track"])
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:148.0) Gecko/20100101 Firefox/148.0"
SAFARI = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 26_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/26.0 Mobile/15E148 Safari/604.1"
)
BOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
NOON = datetime(2026, 11, 20, 12, tzinfo=timezone.utc)


@pytest.fixture(params=["database", "dynamodb"])
def store(request, settings):
    """Each place that profiles can be in, empty."""
    entry = read_profiles()
    if request.param == "dynamodb":
        server = request.getfixturevalue("dynamodb_server")
        server.reset()
        options = {**OPTIONS, "ENDPOINT": server.url}
        entry = {**entry, "BACKEND": "track.profiles.dynamodb.DynamoProfiles", "OPTIONS": options}
    settings.VISITOR_PROFILES = entry
    profiles().make_tables()
    return profiles()


@pytest.fixture
def clock(monkeypatch):
    """Noon, until the test says otherwise: midnight makes new visitors."""
    clock = SimpleNamespace(now=NOON)
    monkeypatch.setattr("django.utils.timezone.now", lambda: clock.now)
    return clock


@pytest.fixture
def site():
    return Website.objects.create(domain="a.example", key="abc")


@pytest.fixture
def post(client, site, clock):
    """Reports a view, and a minute passes."""

    def send(agent=FIREFOX, *, path="/", headers=None, **fields):
        report = json.dumps({"site": "abc", "path": path, **fields})
        headers = {"User-Agent": agent, **(headers or {})}
        answer = client.post("/t/event", report, content_type="text/plain", headers=headers)
        clock.now += timedelta(minutes=1)
        return answer.status_code

    return send


def known(store, site, limit=9):
    return [(found.browser, found.device, found.views) for found in store.latest(site.pk, limit=limit)]


def minutes(store, site):
    """When the visitors were first and last seen, in minutes after noon."""
    found = store.latest(site.pk, limit=9)
    return [((one.first_seen - NOON).seconds // 60, (one.last_seen - NOON).seconds // 60) for one in found]


def test_a_visitor_has_a_profile(store, post, site):
    """First and last seen, views, browser; who was seen last comes first."""
    assert [post(agent) for agent in (FIREFOX, SAFARI, SAFARI, FIREFOX, FIREFOX)] == [204] * 5
    assert known(store, site) == [("Firefox", "desktop", 3), ("Mobile Safari", "mobile", 2)]
    assert minutes(store, site) == [(0, 4), (1, 2)]
    assert known(store, site, limit=1) == [("Firefox", "desktop", 3)]
    assert known(store, Website.objects.create(domain="b.example")) == []


def test_a_visitor_is_another_one_tomorrow(store, post, site, clock):
    """Nobody is followed from day to day."""
    post()
    clock.now += timedelta(days=1)
    post()
    assert known(store, site) == [("Firefox", "desktop", 1)] * 2


def test_a_report_that_comes_twice_counts_once(store, post, site):
    """As the id of the report says; the second time is not even seen."""
    twice = str(uuid.uuid4())
    assert [post(id=twice), post(id=twice), post(id=str(uuid.uuid4())), post(id=twice)] == [204] * 4
    assert known(store, site) == [("Firefox", "desktop", 2)]
    assert minutes(store, site) == [(0, 2)]


def test_nothing_is_known_of_who_refuses(store, post, site, settings):
    """Nor of those who were not asked where that is needed, nor of bots."""
    post(headers={"DNT": "1"})
    post(headers={"Sec-GPC": "1"})
    post(BOT)
    settings.CONSENT_REQUIRED = True
    post()
    assert known(store, site) == []
    if hasattr(store, "visitors"):
        assert (store.visitors.count(), store.claims.count()) == (0, 0)
    post(consent=True)
    assert known(store, site) == [("Firefox", "desktop", 1)]


def test_a_profile_is_kept_for_so_many_days(store, post, site, clock):
    """After that it is not shown, whether it is deleted or not."""
    post()
    clock.now = NOON + timedelta(days=30)
    assert known(store, site) == []
    clock.now -= timedelta(seconds=1)
    assert len(known(store, site)) == 1


def test_there_need_not_be_any(store, post, site, settings):
    """``PROFILE_DAYS=0``: nothing is written, nothing is shown."""
    settings.VISITOR_PROFILES = {**settings.VISITOR_PROFILES, "DAYS": 0}
    assert post() == 204
    assert PageView.objects.count() == 1
    assert known(profiles(), site) == []
    if hasattr(store, "visitors"):
        assert (store.visitors.count(), store.claims.count()) == (0, 0)


def test_the_dashboard_shows_them(store, post, client, site):
    """Short numbers, no address."""
    post(SAFARI)
    (found,) = store.latest(site.pk, limit=2)
    content = client.get(site.get_absolute_url()).content.decode()
    assert f'<th scope="row">{found.visitor[:6]}</th><td>Mobile Safari</td><td>iOS</td><td>mobile</td>' in content
    assert "127.0.0.1" not in content


@pytest.mark.parametrize("variables", [{}, {"PROFILE_DAYS": "7", "DYNAMODB_PREFIX": "stats-"}])
def test_the_place_is_named_by_the_environment(monkeypatch, variables):
    """No variable: the database, for 30 days."""
    for name in ("PROFILE_DAYS", "DYNAMODB_PREFIX", "DYNAMODB_ENDPOINT", "DYNAMODB_TIMEOUT_SECONDS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    entry = read_profiles()
    expected = (
        ("DynamoProfiles", 7, {"PREFIX": "stats-", "ENDPOINT": None, "TIMEOUT_SECONDS": 2})
        if variables
        else ("DatabaseProfiles", 30, {})
    )
    assert (entry["BACKEND"].rpartition(".")[2], entry["DAYS"], entry["OPTIONS"]) == expected
