"""Window functions whose partitions lie on one shard each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db.models import Count, F, Max, Q, QuerySet, Sum, Window
from django.db.models.functions import Lag, Lower, Rank, RowNumber
from django.db.transaction import atomic

from horizon_shards.context import allow_federation
from horizon_shards.exceptions import QueryNotSupported
from tests.shop.models import Site, Ticket, Visit

pytestmark = pytest.mark.django_db(databases=["default", "track"])


def numbered() -> Any:
    return Visit.objects.annotate(place=Window(RowNumber(), partition_by="site", order_by="ms"))


def test_windows_by_the_key_are_computed_on_the_shards(visits: list[Visit]) -> None:
    rows = numbered().annotate(
        before=Window(Lag("ms"), partition_by=["site", "visitor"], order_by="ms"),
        rank=Window(Rank(), partition_by=F("site"), order_by=F("ms").desc()),
        total=Window(Sum("ms"), partition_by="site"),
    )
    found = set(rows.values_list("ms", "place", "before", "rank", "total"))
    assert found == {(n, n + 1, n - 1 if n else None, 5 - n, 10) for n in range(5)}
    assert rows.aggregate(Max("place")) == {"place__max": 5}
    assert [visit.place for visit in rows.order_by("-place", "pk")[11:13]] == [5, 4]


def test_a_condition_on_a_window(sites: list[Site], visits: list[Visit]) -> None:
    first = numbered().filter(place__lte=2)
    assert sorted(visit.ms for visit in first) == [0] * 12 + [1] * 12
    assert first.count() == 24
    assert first.filter(site=sites[0]).count() == 2
    assert first.exists()
    assert not numbered().filter(place=6).exists()
    assert numbered().filter(Q(place=1) | Q(ms=4)).count() == 24
    assert first.aggregate(Sum("ms")) == {"ms__sum": 12}
    assert [visit.ms for visit in first.order_by("-ms")[10:14]] == [1, 1, 0, 0]
    assert first.order_by("path", "pk").first().ms == 0


def test_groups_of_what_a_condition_on_a_window_leaves(visits: list[Visit]) -> None:
    """Where the groups hold the key, each shard answers; else all rows would be in the groups."""
    second = Visit.objects.alias(place=Window(RowNumber(), partition_by="site", order_by="pk")).filter(place=2)
    assert {row["n"] for row in second.values("site").annotate(n=Count("pk"))} == {1}
    groups = second.values("bot").annotate(n=Count("pk"))
    for ask in (list, QuerySet.count, QuerySet.exists, lambda query: query.aggregate(Sum("n"))):
        with pytest.raises(QueryNotSupported, match="condition on a window"):
            ask(groups)
    with pytest.raises(QueryNotSupported, match="condition on a window"):
        Visit.objects.filter(path__in=second.values("path").annotate(n=Count("pk")).values("path")).exists()


def test_a_column_that_is_selected_twice_beside_a_condition_on_a_window(visits: list[Visit]) -> None:
    last = numbered().filter(place=5).order_by("-site", Lower("path"))
    assert last.values("ms")[2:5].aggregate(Sum("ms")) == {"ms__sum": 12}
    assert set(last.annotate(twice=F("ms")).values_list("ms", "twice")) == {(4, 4)}


ORDERED: dict[str, Callable[[Any], Any]] = {
    "a column": lambda rows: rows.order_by("-path", "site").values_list("ms", flat=True),
    "a related column": lambda rows: rows.order_by("visitor__name", "-path").values_list("ms", flat=True),
    "an expression of a related column": lambda rows: rows.order_by(Lower("visitor__name"), "-path").values_list(
        "ms", flat=True
    ),
    "the window": lambda rows: rows.order_by("-place", "ms").values_list("ms", flat=True),
    "an expression": lambda rows: rows.order_by(F("ms") * -1).values_list("ms", flat=True),
    "a column of instances": lambda rows: [visit.ms for visit in rows.order_by("visitor__name", "-path")],
}


@pytest.mark.parametrize("order", ORDERED)
def test_the_order_of_a_condition_on_a_window_is_by_what_is_not_selected(visits: list[Visit], order: str) -> None:
    found = list(ORDERED[order](numbered().filter(place__lte=2)))
    assert found == ([1, 0] * 12 if "related" in order or "instances" in order else [1] * 12 + [0] * 12)
    assert list(ORDERED[order](numbered().filter(place__lte=2))[1:3]) == found[1:3]


def test_what_no_shard_can_compute_is_refused(visits: list[Visit]) -> None:
    by_path = Visit.objects.annotate(place=Window(RowNumber(), partition_by="path", order_by="pk"))
    for query in (
        by_path,
        by_path.filter(place=1),
        numbered().filter(place=1).values("path").distinct(),
        numbered().filter(place=1).select_related("visitor").order_by(F("ms") + 1),
    ):
        with pytest.raises(QueryNotSupported) as refusal:
            list(query)
        assert refusal.value.reason == "window"


def test_a_condition_on_a_window_with_related_rows_elsewhere_is_refused(sites: list[Site], visits: list[Visit]) -> None:
    first = numbered().filter(place=1)
    for rows in (first, first.filter(site=sites[0])):
        with pytest.raises(QueryNotSupported, match="another database"):
            list(rows.select_related("site"))
        assert {visit.site.name for visit in rows.prefetch_related("site")} <= {site.name for site in sites}
    assert {visit.visitor.name for visit in first.select_related("visitor")}


def test_a_window_over_related_rows_elsewhere_is_refused(sites: list[Site], visits: list[Visit]) -> None:
    """Of the rows that are elsewhere each stands once; in one database it would be beside each of its visits."""
    windows = (Window(Rank(), order_by=["site__name"]), Window(Sum("ms"), partition_by=["site", "site__name"]))
    for window in windows:
        rows = Visit.objects.annotate(place=window)
        for query in (rows, rows.filter(place=3), rows.select_related("site"), rows.values("place")):
            with pytest.raises(QueryNotSupported):
                list(query)


def far_rows_beside_a_window() -> Any:
    """Of each visit those before it, for every visit of its country."""
    before = Window(Lag("ms"), partition_by=["site"], order_by=["pk"])
    return Visit.objects.annotate(before=before).values("before", "country__visit__ms")


def test_rows_that_a_far_join_repeats_are_not_windowed_before(visits: list[Visit]) -> None:
    """A window is computed over the joined rows: each visit stands there once for every visit of its country."""
    with pytest.raises(QueryNotSupported):
        list(far_rows_beside_a_window().filter(before=1))


@pytest.mark.sqlite_only
def test_rows_that_a_far_join_repeats_are_windowed_where_they_are_gathered(visits: list[Visit]) -> None:
    with allow_federation(10_000):
        assert len(far_rows_beside_a_window()) == len(visits) ** 2


@pytest.mark.sqlite_only
def test_counting_a_part_of_a_condition_on_a_window_where_the_rows_are_gathered(visits: list[Visit]) -> None:
    first = numbered().filter(place__lte=2).order_by("site__name", "ms").values("id")
    with allow_federation(10_000):
        assert first[:3].count() == 3
        assert first[20:].count() == 4
        assert first[1:3].aggregate(Sum("ms")) == {"ms__sum": 1}


def alone(model: Any, partition: str) -> Any:
    """The rows, of visitors that are known by name, that are alone in their partition."""
    counted = model.objects.annotate(n=Window(Count("*"), partition_by=[partition]))
    return counted.filter(n=1, visitor__name__startswith="v")


@pytest.fixture
def tickets(sites: list[Site], visits: list[Visit]) -> list[Ticket]:
    """One for each site, all with the same text; nothing refers to them, so that DELETE needs no SELECT before it."""
    visitors = {visit.site_id: visit.visitor_id for visit in visits}
    return [Ticket.objects.create(site=site, text="the same", visitor_no=visitors[site.pk]) for site in sites]


def test_no_shard_writes_the_rows_of_its_own_windows(tickets: list[Ticket]) -> None:
    """A partition that lies on several shards is alone on none of them, though a shard may see one row of it."""
    with pytest.raises(QueryNotSupported, match="the shard key in partition_by"), atomic(using="track"):
        alone(Ticket, "text").update(text="x")
    with pytest.raises(QueryNotSupported, match="the shard key in partition_by"), atomic(using="track"):
        alone(Ticket, "text").delete()
    assert Ticket.objects.filter(text="the same").count() == 12
    assert alone(Ticket, "site").update(text="x") == 12
    assert alone(Ticket, "site").delete() == (12, {"shop.Ticket": 12})


@pytest.mark.sqlite_only
def test_rows_are_deleted_by_windows_where_they_are_gathered(tickets: list[Ticket]) -> None:
    Ticket.objects.filter(pk=tickets[0].pk).update(text="its own")
    with allow_federation(10_000):
        assert alone(Ticket, "text").delete() == (1, {"shop.Ticket": 1})
    assert Ticket.objects.count() == 11
