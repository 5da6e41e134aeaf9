"""``manage.py aggregate``: the counts are those of a plain loop over the views, however often they are made."""

from __future__ import annotations

from collections import defaultdict
from datetime import date

import pytest
from conftest import EXAMPLE
from django.core.management import CommandError

from aggregate.models import DailyCount, HourlyCount
from track.models import Device, PageView, Website

pytestmark = pytest.mark.django_db(databases=["default", "track"])
NAMES = ("requests", "views", "visitors", "bots", "errors", "size_bytes")


def counted(model, when):
    return {(row["site_id"], row[when]): tuple(row[name] for name in NAMES) for row in model.objects.values()}


def by_hand(moment):
    groups = defaultdict(list)
    for view in PageView.objects.all():
        groups[view.site_id, moment(view.time)].append(view)
    return {group: count(views) for group, views in groups.items()}


def count(views):
    shown = [view for view in views if view.is_page and view.device != Device.BOT]
    return (
        len(views),
        len(shown),
        len({view.visitor for view in shown}),
        sum(view.device == Device.BOT for view in views),
        sum(view.status >= 400 for view in views),
        sum(view.size_bytes for view in views),
    )


def hour_of(moment):
    return moment.replace(minute=0, second=0, microsecond=0)


def test_the_shipped_log_is_counted_right(run):
    """Each hour and each day of each website, and nothing else."""
    run("import_access_log", EXAMPLE / "data" / "access_log.gz")
    run("aggregate")
    assert counted(HourlyCount, "hour") == by_hand(hour_of)
    assert counted(DailyCount, "day") == by_hand(lambda moment: moment.date())


def test_counting_again_changes_nothing(run, log):
    """Also the counts of one website, or of the last days."""
    run("import_access_log", log)
    run("aggregate")
    before = counted(HourlyCount, "hour"), counted(DailyCount, "day")
    run("aggregate")
    run("aggregate", site="a.example")
    run("aggregate", since=date(2026, 3, 3))
    assert (counted(HourlyCount, "hour"), counted(DailyCount, "day")) == before
    assert len(before[1]) == 3


def test_counts_follow_the_views(run, log):
    """Views that are gone are counted no more."""
    run("import_access_log", log)
    run("aggregate")
    PageView.objects.filter(site=Website.objects.get(domain="b.example")).delete()
    run("aggregate")
    assert {site for site, _ in counted(DailyCount, "day")} == {Website.objects.get(domain="a.example").pk}


def test_since_leaves_what_was_before(run, log):
    """Only the days from then on are made anew."""
    run("import_access_log", log)
    run("aggregate", "--since=2026-03-03")
    assert {day for _, day in counted(DailyCount, "day")} == {date(2026, 3, 3)}


def test_one_website(run, log):
    """The others are left alone; an unknown one is named."""
    run("import_access_log", log)
    assert "Counted 1 websites" in run("aggregate", site="b.example")
    assert {site for site, _ in counted(DailyCount, "day")} == {Website.objects.get(domain="b.example").pk}
    with pytest.raises(CommandError, match="'nowhere'"):
        run("aggregate", site="nowhere")


def test_deleting_a_website_deletes_what_it_has_on_its_shard(run, log):
    """Views and counts of the other one stay."""
    run("import_access_log", log)
    run("aggregate")
    Website.objects.get(domain="a.example").delete()
    left = Website.objects.get()
    assert set(PageView.objects.values_list("site_id", flat=True)) == {left.pk}
    assert {site for site, _ in counted(DailyCount, "day") | counted(HourlyCount, "hour")} == {left.pk}
