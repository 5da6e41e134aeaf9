"""The admin of the sharded models."""

from __future__ import annotations

import pytest

from aggregate.models import DailyCount
from track.models import PageView, Website

pytestmark = pytest.mark.django_db(databases=["default", "track"])


@pytest.fixture
def site(run, log):
    run("import_access_log", log)
    run("aggregate")
    return Website.objects.get(domain="a.example")


@pytest.mark.parametrize("path", ["track/pageview/", "aggregate/dailycount/", "track/website/"])
def test_the_lists(admin_client, site, path):
    """All rows of all shards, with the names of their websites."""
    answer = admin_client.get(f"/admin/{path}")
    assert answer.status_code == 200
    assert b"a.example" in answer.content
    assert b"b.example" in answer.content


@pytest.mark.parametrize(
    ("query", "count"),
    [("", 7), ("?site={site}", 4), ("?site=x", 0), ("?q=shop", 1), ("?is_page__exact=0", 2), ("?device__exact=bot", 2)],
)
def test_views_can_be_filtered_and_searched(admin_client, site, query, count):
    """By website, kind, device and text."""
    answer = admin_client.get("/admin/track/pageview/" + query.format(site=site.pk))
    assert answer.context["cl"].result_count == count


def test_views_are_looked_at_only(admin_client, site):
    """A view has a page without a form; none is typed in."""
    view = PageView.objects.filter(site=site).first()
    answer = admin_client.get(f"/admin/track/pageview/{view.pk}/change/")
    assert answer.status_code == 200
    assert b'name="_save"' not in answer.content
    assert admin_client.get("/admin/track/pageview/add/").status_code == 403


def test_views_can_be_deleted(admin_client, site):
    """Those that are ticked."""
    chosen = [str(view.pk) for view in PageView.objects.filter(site=site)[:2]]
    data = {"action": "delete_selected", "_selected_action": chosen, "post": "yes"}
    assert admin_client.post("/admin/track/pageview/", data).status_code == 302
    assert PageView.objects.filter(site=site).count() == 2
    assert PageView.objects.count() == 5


def test_deleting_a_website(admin_client, site):
    """The page says what goes with it; then it is gone from the shards as well."""
    path = f"/admin/track/website/{site.pk}/delete/"
    assert admin_client.get(path).status_code == 200
    assert admin_client.post(path, {"post": "yes"}).status_code == 302
    assert not PageView.objects.filter(site=site.pk).exists()
    assert not DailyCount.objects.filter(site=site.pk).exists()
    assert PageView.objects.count() == 3
