"""The warehouse has what the shards have counted, answers across websites, and keeps its joins on their nodes.

With ``WAREHOUSE_URL=strict-redshift://...`` the same on a strict local Redshift.
"""

from __future__ import annotations

import datetime as dt
import gzip
import json
import uuid

import pytest
from conftest import EXAMPLE
from django.conf import settings
from django.db import connections
from django.db.models import Sum
from django.test.utils import CaptureQueriesContext

from aggregate.kinds import Kind
from aggregate.models import COUNTS, DailyCount, HourlyCount
from config.databases import read_databases
from horizon_shards.sinks.lines import line_of
from horizon_shards.sinks.record import record_of
from horizon_shards.testing import assert_no_redistribution
from report.period import Period
from report.trends import by_day, read_trends, top_pages
from track.models import PageView, Website
from warehouse.models import LabelDay, PageEvent, Site, SiteDay, SiteHour

pytestmark = pytest.mark.django_db(databases=["default", "track", "warehouse"])


@pytest.fixture
def small(run, log):
    run("import_access_log", log)
    run("aggregate")
    return run("load_warehouse")


def test_nothing_yet(client):
    """The page says what to do."""
    assert b"load_warehouse" in client.get("/trends/").content


def test_the_warehouse_has_what_was_counted(run, log, small):
    """Every day and hour of every website; the pages and the hours of a day add up to it; twice changes nothing."""
    assert small == "Loaded 2 websites: 21 facts.\n"
    for stored, counted, name in ((SiteDay, DailyCount, "day"), (SiteHour, HourlyCount, "hour")):
        values = [set(model.objects.values_list("site_id", name, *COUNTS)) for model in (stored, counted)]
        assert values[0] == values[1]
    for whole in SiteDay.objects.all():
        for kind in (Kind.PAGE, Kind.BROWSER, Kind.DEVICE):
            assert (whole.labels.filter(kind=kind).aggregate(n=Sum("count"))["n"] or 0) == whole.views
        assert whole.hours.aggregate(n=Sum("size_bytes"))["n"] == whole.size_bytes
    assert run("load_warehouse") == small
    assert LabelDay.objects.count() + SiteDay.objects.count() + SiteHour.objects.count() == 21
    assert sorted(Site.objects.values_list("pk", "domain")) == sorted(Website.objects.values_list("pk", "domain"))


def test_the_page_answers_across_websites_and_asks_no_shard(client, small):
    """The most viewed page first, with its share; the warehouse alone is asked."""
    answer = client.get("/trends/?days=0")
    pages = [(page.domain, page.path, page.views, page.share) for page in answer.context["trends"].pages]
    assert pages == [
        ("b.example", "/x/", 2, 100.0),
        ("a.example", "/", 1, 50.0),
        ("a.example", "/shop/", 1, 50.0),
    ]
    assert [(day["seen"], day["people"]) for day in answer.context["trends"].days] == [(2, 1), (2, 1)]
    assert "X-Shards-Asked" not in answer
    assert b"b.example" in answer.content


def test_the_joins_of_the_report_stay_on_their_nodes(small):
    """Distribution keys, and the composite foreign key, keep them there."""
    trends = read_trends(days=0)
    assert_no_redistribution(top_pages(trends.period))
    assert_no_redistribution(by_day(trends.period))
    assert_no_redistribution(LabelDay.objects.select_related("whole", "site"))
    assert_no_redistribution(SiteHour.objects.select_related("whole", "site"))


@pytest.mark.parametrize("page", ["/", "/sites/a/", "/trends/"])
def test_a_page_reads_the_warehouse_alone(client, small, page):
    """No shard is asked, and on Redshift no query moves rows between its nodes."""
    Website.objects.filter(domain="a.example").update(key="a")
    with CaptureQueriesContext(connections["warehouse"]) as asked:
        answer = client.get(f"{page}?days=0&from=warehouse")
    assert answer.status_code == 200
    assert "X-Shards-Asked" not in answer
    assert len(asked) > 2
    if connections["warehouse"].vendor == "redshift":
        with connections["warehouse"].cursor() as cursor:
            for query in asked:
                cursor.execute(f"EXPLAIN {query['sql']}")
                plan = str(cursor.fetchall())
                assert "XN" in plan
                assert "DS_" not in plan.replace("DS_DIST_NONE", "").replace("DS_DIST_ALL_NONE", ""), query["sql"]


def test_the_report_is_the_same_from_the_shards_and_from_the_warehouse(client, run, small):
    """To the row: the pages, the report as data, and the report as text but for the shards."""
    sources = ("shards", "warehouse")
    reports = [json.loads(run("demo_report", "--json", f"--from={name}")) for name in sources]
    assert [bool(report.pop("placement")["shards"]) for report in reports] == [True, False]
    assert reports[0] == reports[1]
    assert [len(site["hours"]) for site in reports[0]["websites"]] == [2, 1]
    assert "in the warehouse" in run("demo_report", "--from=warehouse")
    for site in Website.objects.all():
        pages = [client.get(f"{site.get_absolute_url()}?days=7&from={name}").context for name in sources]
        for part in ("totals", "chart", "rankings", "rhythm"):
            assert pages[0][part] == pages[1][part]
    charts = [client.get(f"/?from={name}").context["chart"] for name in sources]
    views = [[sum(step) for step in zip(*chart["shards"].values(), strict=True)] for chart in charts]
    assert views[0] == views[1] == [2, 2]


def test_where_the_report_reads_by_default(client, small, settings):
    """A setting says it, a page can be asked for the other; nonsense is the default."""
    assert client.get("/").context["facts"] == client.get("/?from=nowhere").context["facts"] == "shards"
    settings.REPORT_FROM = "warehouse"
    assert client.get("/?from=nowhere").context["facts"] == "warehouse"
    assert client.get("/?from=shards").context["overview"].shards


def test_one_setting_makes_it_redshift(monkeypatch, tmp_path):
    """``WAREHOUSE_URL`` names SQLite, Redshift or the strict local one."""
    monkeypatch.delenv("WAREHOUSE_URL", raising=False)
    assert read_databases(tmp_path)["warehouse"]["NAME"] == str(tmp_path / "warehouse.sqlite3")
    for scheme, engine in (("redshift", "backends.redshift"), ("strict-redshift", "testing.redshift")):
        monkeypatch.setenv("WAREHOUSE_URL", f"{scheme}://u:p%40@h:5439/dev")
        found = read_databases(tmp_path)["warehouse"]
        assert found["ENGINE"] == f"horizon_shards.{engine}"
        assert (found["USER"], found["PASSWORD"], found["HOST"], found["PORT"], found["NAME"]) == (
            "u",
            "p@",
            "h",
            5439,
            "dev",
        )


def test_the_shipped_log(run):
    """All of it is there, whichever database the warehouse is."""
    run("import_access_log", EXAMPLE / "data" / "access_log.gz")
    run("aggregate")
    run("load_warehouse")
    days = DailyCount.objects.aggregate(views=Sum("views"))["views"]
    assert SiteDay.objects.aggregate(views=Sum("views"))["views"] == days
    assert LabelDay.objects.filter(kind=Kind.PAGE).aggregate(views=Sum("count"))["views"] == days
    dates = SiteDay.objects.order_by("day").values_list("day", flat=True)
    everything = Period(dates[0], dates.reverse()[0])
    assert sum(row["seen"] for row in by_day(everything)) == days
    assert settings.DATABASES["warehouse"]["ENGINE"]


def test_events_of_firehose_are_counted_in_the_warehouse(run, settings):
    """With ``FIREHOSE_STREAM`` no shard is asked; days before the first event stay as they were."""
    settings.COLLECTS_BY_FIREHOSE = True
    site = Website.objects.create(domain="a.example", key="a")
    fact = {"site_id": site.pk, "visitors": 1, "requests": 1, "errors": 0}
    SiteDay.objects.bulk_create([SiteDay(day=dt.date(2026, 3, day), views=7, **fact) for day in (1, 2)])
    assert run("load_warehouse") == "Loaded 1 websites: 0 facts.\n"
    seen = [(2, "/x/", "v", 200, "desktop"), (2, "/x/", "w", 200, "bot"), (3, "/y/", "v", 404, "desktop")]
    for number, (day, path, visitor, status, device) in enumerate(seen):
        time = dt.datetime(2026, 3, day, 23, 59, tzinfo=dt.timezone.utc)
        plain = {"path": path, "visitor": visitor, "status": status, "device": device, "size_bytes": 1}
        PageEvent.objects.create(
            pk=number, site_id=site.pk, event_id=uuid.UUID(int=number), time=time, is_page=status == 200, **plain
        )
    for _ in range(2):
        assert run("load_warehouse") == "Loaded 1 websites: 11 facts.\n"
        days = SiteDay.objects.order_by("day").values_list("day__day", "views", "visitors", "requests", "errors")
        assert [*days] == [(1, 7, 1, 1, 0), (2, 1, 1, 2, 0), (3, 0, 0, 1, 1)]
        pages = LabelDay.objects.filter(kind=Kind.PAGE).values_list("day__day", "label", "count")
        assert [*pages] == [(2, "/x/", 1)]


def test_an_event_has_every_column_that_is_collected():
    """What a page view has and the event had not would be left out without a word."""
    columns = {field.column for field in PageEvent._meta.concrete_fields}
    assert columns == {field.column for field in PageView._meta.concrete_fields}


@pytest.fixture
def deliver(tmp_path, monkeypatch):
    """Writes an object of lines where ``load_firehose`` of this warehouse reads; gives its address."""
    if "redshift" not in settings.DATABASES["warehouse"]["ENGINE"]:
        yield lambda key, content: (tmp_path / key).write_bytes(content) and str(tmp_path)
        return
    server = pytest.importorskip("moto.server", reason="pip install 'moto[server]'")
    boto3 = pytest.importorskip("boto3", reason="pip install boto3")
    for name, value in (("ACCESS_KEY_ID", "x"), ("SECRET_ACCESS_KEY", "x"), ("DEFAULT_REGION", "eu-west-1")):
        monkeypatch.setenv(f"AWS_{name}", value)
    stand_in = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    stand_in.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://{}:{}".format(*stand_in.get_host_and_port()))
    client = boto3.client("s3")
    client.create_bucket(Bucket="lake", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    yield lambda key, content: client.put_object(Bucket="lake", Key=key, Body=content) and "s3://lake/"
    connections["warehouse"].close()
    stand_in.stop()


@pytest.mark.django_db(databases=["default", "track", "warehouse"], transaction=True)
def test_what_firehose_delivered_is_on_the_page(run, client, settings, deliver):
    """By COPY and MERGE on Redshift; twice delivered and twice loaded it is counted once."""
    settings.COLLECTS_BY_FIREHOSE = True
    sites = [Website.objects.create(domain=f"{name}.example", key=name) for name in "ab"]
    noon = dt.datetime(2026, 3, 2, 12, tzinfo=dt.timezone.utc)
    views = [
        PageView(site=sites[n % 2], time=noon, visitor=f"{n % 3}", path="/x/", device="desktop") for n in range(10)
    ]
    content = gzip.compress(b"".join(line_of(record_of(view)) for view in views))
    deliver("1.gz", content)
    address = deliver("2.gz", content)
    told = [run("load_firehose", address, "--into=track.PageView=warehouse.PageEvent") for _ in range(2)]
    assert told[0].startswith("2 objects loaded: 10 rows, 10 duplicates")
    assert told[1].startswith("0 objects loaded: 0 rows, 0 duplicates, 0 rejected lines. 2 objects were loaded")
    assert PageView.objects.count() == 0
    run("load_warehouse")
    pages = client.get("/trends/?days=0").context["trends"].pages
    assert [(page.domain, page.path, page.views) for page in pages] == [
        ("a.example", "/x/", 5),
        ("b.example", "/x/", 5),
    ]
