"""The pages show the right numbers, ask only the shards they need, and answer to nonsense."""

from __future__ import annotations

import pytest
from conftest import EXAMPLE
from django.conf import settings
from django.db import DatabaseError

from report import dashboard
from report.placement import shard_names, shards_of, stored_views
from track.models import PageView, Website

pytestmark = pytest.mark.django_db(databases=["default", "track"])


@pytest.fixture
def counted(run):
    run("import_access_log", EXAMPLE / "data" / "access_log.gz")
    run("aggregate")


@pytest.fixture
def small(run, log):
    run("import_access_log", log)
    run("aggregate")


def test_nothing_yet(client):
    """The page says what to do."""
    answer = client.get("/")
    assert answer.status_code == 200
    assert b"import_access_log" in answer.content


def test_the_overview_has_the_right_totals(client, counted):
    """The totals are those of the rows; each website is there with its shard."""
    overview = client.get("/?days=0").context["overview"]
    assert (
        overview.totals["requests"]
        == PageView.objects.count()
        == sum(line.counts["requests"] for line in overview.sites)
    )
    assert len(overview.sites) == 16
    assert {str(line.site): line.shard for line in overview.sites} == {
        str(site): shards_of([site.pk])[site.pk] for site in Website.objects.all()
    }


def test_which_shard_holds_what(client, counted):
    """The shards together hold all views, and each holds those of its websites."""
    shards = client.get("/").context["overview"].shards
    assert sum(shard.stored for shard in shards) == PageView.objects.count()
    assert [shard.name for shard in shards] == list(shard_names())
    expected = dict.fromkeys(shard_names(), 0)
    for site, shard in shards_of(Website.objects.values_list("pk", flat=True)).items():
        expected[shard] += PageView.objects.filter(site=site).count()
    assert stored_views() == expected


def test_a_dashboard_has_the_right_numbers(client, small):
    """Totals, lists, and the chart with zeros in the gaps."""
    site = Website.objects.get(domain="a.example")
    context = client.get(f"/sites/{site.key}/").context
    assert context["totals"] == {
        "requests": 4, "views": 2, "visitors": 1, "bots": 1, "errors": 1, "size_bytes": 159,
    }  # fmt: skip
    lists = {ranking.title: [(row.label, row.count) for row in ranking.rows] for ranking in context["rankings"]}
    assert lists["Top pages"] == [("/", 1), ("/shop/", 1)]
    assert lists["Referrers"] == [("google.com", 1)]
    assert lists["Browsers"] == [("Firefox", 2)]
    assert lists["Devices"] == [("Desktop", 2)]
    assert lists["Failed requests"] == [("/gone/", 1)]
    assert sum(context["chart"]["views"]) == 2
    assert len(context["chart"]["views"]) == 48


@pytest.mark.parametrize("days", ["1", "7", "30", "0", "-3", "x", "", "9" * 50, "²"])
def test_every_period_can_be_asked_for(client, counted, days):
    """Nonsense is the default."""
    site = Website.objects.get(domain="news.example")
    for path in ("/", f"/sites/{site.key}/"):
        assert client.get(path, {"days": days}).status_code == 200


def test_a_day_is_shown_by_hours(client, counted):
    """One day has 24 points that add up to the day."""
    site = Website.objects.get(domain="news.example")
    context = client.get(f"/sites/{site.key}/?days=1").context
    assert len(context["chart"]["views"]) == 24
    assert sum(context["chart"]["views"]) == context["totals"]["views"]
    assert sum(cell["views"] for row in context["rhythm"] for cell in row["hours"]) == context["totals"]["views"]


def test_a_website_without_views(client):
    """Shows how to count it."""
    site = Website.objects.create(domain="new.example")
    answer = client.get(site.get_absolute_url())
    assert answer.status_code == 200
    assert site.key.encode() in answer.content
    assert client.get("/sites/nowhere/").status_code == 404


def test_text_from_visitors_is_escaped(client, run, log):
    """A path is shown, not run."""
    log.write_bytes(log.read_bytes().replace(b"/shop/", b"/<script>alert(1)</script>/"))
    run("import_access_log", log)
    run("aggregate")
    site = Website.objects.get(domain="a.example")
    content = client.get(site.get_absolute_url()).content
    assert b"<script>alert(1)" not in content
    assert b"&lt;script&gt;alert(1)" in content


@pytest.mark.skipif(not settings.SHARDED, reason="there are no shards")
def test_a_dashboard_asks_one_shard(client, counted):
    """Every query names the website; the overview asks all shards."""
    for site in Website.objects.all():
        answer = client.get(site.get_absolute_url())
        assert answer["X-Shards-Asked"] == shards_of([site.pk])[site.pk]
        assert answer.wsgi_request.asked.scatter == 0
    overview = client.get("/")
    assert overview["X-Shards-Asked"] == ", ".join(shard_names())
    assert overview.wsgi_request.asked.scatter > 0


def test_a_database_that_does_not_answer_is_told(client, monkeypatch):
    """The page names the error, with the status that says: later."""

    def fail(**kwargs):
        raise DatabaseError("shard track-2 is down")

    monkeypatch.setattr("report.views.read_overview", fail)
    answer = client.get("/")
    assert answer.status_code == 503
    assert b"shard track-2 is down" in answer.content


def test_rankings_are_cut_and_ordered(small):
    """Ties are in the order of the text."""
    site = Website.objects.get(domain="a.example")
    period = dashboard.known_period(site, days=0)
    (top, *_) = dashboard.rankings(site, period=period, limit=1)
    assert [(row.label, row.count, row.width) for row in top.rows] == [("/", 1, 100.0)]


def test_a_long_time_is_shown_by_months(client, run, log):
    """Logs that are years apart give one point a month, and all of it is counted."""
    run("import_access_log", log)
    log.write_bytes(log.read_bytes().replace(b"/2026:", b"/2011:"))
    run("import_access_log", log)
    run("aggregate")
    site = Website.objects.get(domain="b.example")
    context = client.get(f"/sites/{site.key}/?days=0").context
    assert len(context["chart"]["labels"]) == 15 * 12 + 1
    assert (context["chart"]["labels"][0], context["chart"]["labels"][-1]) == ("Mar 2011", "Mar 2026")
    assert sum(context["chart"]["views"]) == context["totals"]["views"] == 4
    overview = client.get("/?days=0")
    assert overview.context["overview"].totals["requests"] == PageView.objects.count() == 14
    assert [sum(views) for views in overview.context["chart"]["shards"].values() if any(views)]
    assert sum(sum(views) for views in overview.context["chart"]["shards"].values()) == 8
