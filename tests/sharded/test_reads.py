"""Reads through the logical alias: routed to one shard, or scattered and merged."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.contrib.auth.models import User
from django.db import connections
from django.db.models import Avg, Count, F, Max, Min, OuterRef, Q, Subquery, Sum
from django.db.models.functions import Length, Lower
from django.test.utils import CaptureQueriesContext

from horizon_shards.exceptions import QueryNotSupported, RowLimitExceeded
from horizon_shards.testing import assert_shards, assert_single_shard, capture_shards
from tests.shop.models import Account, Entry, Invoice, Order, Session, Site, Visit, Visitor

pytestmark = pytest.mark.django_db(databases=["default", "track", "log"])


def test_a_filter_by_the_key_asks_one_shard(sites: list[Site], visits: list[Visit]) -> None:
    for lookup in ({"site": sites[0]}, {"site_id": sites[0].pk}, {"site__pk": sites[0].pk}, {"site__in": [sites[0]]}):
        with assert_single_shard():
            assert Visit.objects.filter(**lookup).count() == 5


def test_a_sharded_id_names_its_shard(visits: list[Visit]) -> None:
    for visit in visits[::7]:
        with assert_single_shard():
            assert Visit.objects.get(pk=visit.pk) == visit
    with capture_shards() as captured:
        assert len(Visit.objects.filter(pk__in=[visit.pk for visit in visits])) == 60
    assert len(captured.shards) <= 4


def test_an_enforced_foreign_key_to_a_sharded_id_names_the_shard(visits: list[Visit]) -> None:
    with assert_single_shard():
        assert visits[0].visitor.visits.count() == 5


def test_keys_in_or_and_q(sites: list[Site], visits: list[Visit]) -> None:
    a, b = sites[0].pk, sites[1].pk
    assert Visit.objects.filter(Q(site=a) | Q(site=b)).count() == 10
    assert Visit.objects.filter(site=a).filter(site=b).count() == 0
    assert Visit.objects.exclude(site=a).count() == 55
    assert Visit.objects.filter(~Q(site=a) & ~Q(site=b)).count() == 50
    assert Visit.objects.filter(Q(site=a) ^ Q(ms=0)).count() == 4 + 11
    assert Visit.objects.filter(Q(site=a) | Q(ms=0)).count() == 5 + 11
    assert (Visit.objects.filter(site=a) | Visit.objects.filter(site=b)).count() == 10
    assert (Visit.objects.filter(site=a) & Visit.objects.filter(ms=1)).count() == 1


def test_none_and_an_impossible_key_ask_at_most_one_shard(visits: list[Visit]) -> None:
    with capture_shards() as captured:
        assert list(Visit.objects.none()) == []
        assert list(Visit.objects.filter(site__in=[])) == []
    assert len(captured.shards) <= 1


def test_order_and_slices_are_those_of_one_database(visits: list[Visit]) -> None:
    expected = sorted(visits, key=lambda v: (-v.ms, v.site_id))
    assert list(Visit.objects.order_by("-ms", "site_id")) == expected
    assert list(Visit.objects.order_by("-ms", "site_id")[7:23]) == expected[7:23]
    assert list(Visit.objects.order_by("-ms", "site_id").reverse()[:5]) == expected[::-1][:5]
    assert Visit.objects.order_by("-ms", "site_id").first() == expected[0]
    assert Visit.objects.order_by("-ms", "site_id").last() == expected[-1]
    assert list(Visit.objects.order_by("ms")[5:5]) == []


def test_nulls_stand_where_the_database_puts_them(sites: list[Site]) -> None:
    nicks = [None, "b", None, "a", "C", "", None, "ä", "B", "z", None, "A"]
    for site, nick in zip(sites, nicks, strict=True):
        Visitor.objects.create(site=site, name="x", nick=nick)
    names = sorted(nick for nick in nicks if nick is not None)
    first = Visitor.objects.order_by(F("nick").asc(nulls_first=True)).values_list("nick", flat=True)
    last = Visitor.objects.order_by(F("nick").desc(nulls_last=True)).values_list("nick", flat=True)
    if connections["track"].vendor == "sqlite":
        assert list(first) == [None] * 4 + names
        assert list(last) == names[::-1] + [None] * 4
        assert list(Visitor.objects.order_by("nick").values_list("nick", flat=True)) == [None] * 4 + names
        assert list(Visitor.objects.order_by("-nick").values_list("nick", flat=True)) == names[::-1] + [None] * 4
    assert [nick is None for nick in first] == [True] * 4 + [False] * 8
    assert [nick is None for nick in last] == [False] * 8 + [True] * 4
    lowered = list(Visitor.objects.filter(nick__isnull=False).order_by(Lower("nick"), "pk").values_list("nick"))
    if connections["track"].vendor == "sqlite":
        assert [nick.lower() for (nick,) in lowered] == sorted(nick.lower() for (nick,) in lowered)


def test_distinct_values_over_shards(visits: list[Visit]) -> None:
    assert sorted(Visit.objects.values_list("path", flat=True).distinct()) == ["/0", "/1", "/2", "/3", "/4"]
    assert list(Visit.objects.order_by("-path").values_list("path", flat=True).distinct()[1:3]) == ["/3", "/2"]
    assert Visit.objects.values("path").distinct().count() == 5
    assert Visit.objects.distinct().count() == 60
    assert Visit.objects.values("path", "site").distinct().count() == 60


def test_aggregates_over_shards(visits: list[Visit]) -> None:
    found = Visit.objects.aggregate(
        n=Count("pk"),
        values=Count("ms", filter=Q(ms__gt=1)),
        total=Sum("price"),
        mean=Avg("ms"),
        low=Min("path"),
        high=Max("path"),
        nothing=Sum("ms", filter=Q(ms=99)),
        default=Sum("ms", filter=Q(ms=99), default=7),
    )
    assert found == {
        "n": 60,
        "values": 36,
        "total": Decimal(120),
        "mean": 2.0,
        "low": "/0",
        "high": "/4",
        "nothing": None,
        "default": 7,
    }


def test_the_average_is_not_an_average_of_averages(sites: list[Site]) -> None:
    visitors = [Visitor.objects.create(site=site, name="x") for site in sites]
    Visit.objects.bulk_create(Visit(site=v.site, visitor=v, path="/", ms=0) for v in visitors)
    Visit.objects.bulk_create(Visit(site=visitors[0].site, visitor=visitors[0], path="/", ms=48) for _ in range(12))
    assert Visit.objects.aggregate(Avg("ms"))["ms__avg"] == 24.0


def test_counts_of_slices(visits: list[Visit]) -> None:
    assert Visit.objects.order_by("ms")[:10].count() == 10
    assert Visit.objects.order_by("ms")[55:70].count() == 5
    assert Visit.objects.all()[100:].count() == 0


def test_related_rows_are_counted_on_their_shard(visits: list[Visit]) -> None:
    rows = Visitor.objects.annotate(n=Count("visits", filter=Q(visits__ms__gt=1))).order_by("name")
    assert {row.n for row in rows} == {3}
    assert Visitor.objects.annotate(n=Count("visits")).filter(n__gt=4).count() == 12


def test_groups_with_the_key_are_whole(visits: list[Visit]) -> None:
    rows = Visit.objects.values("site").annotate(total=Sum("ms")).order_by("-total", "site")
    assert [row["total"] for row in rows] == [10] * 12


def test_joins_that_stay_on_the_shard(visits: list[Visit]) -> None:
    found = (
        Visit.objects.select_related("visitor", "country").filter(visitor__name__startswith="visitor").order_by("pk")
    )
    with CaptureQueriesContext(connections["track"]) as queries:
        assert {(visit.country.code, visit.visitor.site_id == visit.site_id) for visit in found.order_by("pk")} == {
            ("de", True)
        }
    assert len(queries) == 4
    assert Visitor.objects.filter(visits__ms=3).distinct().count() == 12
    assert Visitor.objects.exclude(visits__ms=3).count() == 0
    assert list(Visit.objects.order_by("visitor__name", "path").values_list("path", flat=True)[:3]) == [
        "/0",
        "/1",
        "/2",
    ]


def test_prefetch_over_shards_and_databases(visits: list[Visit]) -> None:
    visitors = Visitor.objects.prefetch_related("visits", "site").order_by("name")
    with CaptureQueriesContext(connections["default"]) as queries:
        assert [len(visitor.visits.all()) for visitor in visitors] == [5] * 12
        assert {visitor.site.name.startswith("site") for visitor in visitors} == {True}
    assert len(queries) == 1


def test_an_unsharded_relation_resolves_in_its_own_database(visits: list[Visit]) -> None:
    visit = Visit.objects.get(pk=visits[0].pk)
    assert visit._state.db == "track"
    assert visit.site._state.db == "default"


def test_values_annotations_and_in_bulk(visits: list[Visit]) -> None:
    row = (
        Visit.objects.annotate(size=Length("path"), more=F("ms") + 1)
        .order_by("-more", "pk")
        .values("size", "more")
        .first()
    )
    assert row == {"size": 2, "more": 5}
    assert Visit.objects.in_bulk([visits[3].pk, visits[40].pk]) == {v.pk: v for v in (visits[3], visits[40])}
    assert Visit.objects.only("path").order_by("pk")[0].path == visits[0].path
    assert Visit.objects.filter(ms=3).exists()
    assert not Visit.objects.filter(ms=33).exists()
    assert Visit.objects.order_by("site").earliest("ms").ms == 0
    assert Visit.objects.latest("ms").ms == 4


def test_iterator_streams(visits: list[Visit]) -> None:
    assert [v.pk for v in Visit.objects.order_by("pk").iterator(chunk_size=7)] == sorted(v.pk for v in visits)


def test_composite_primary_keys_route(sites: list[Site]) -> None:
    for site in sites:
        Invoice.objects.create(site=site, number=1, total=5)
    with assert_single_shard():
        assert Invoice.objects.get(pk=(sites[3].pk, 1)).site_id == sites[3].pk
    wanted = [(site.pk, 1) for site in sites[:3]]
    assert sorted(invoice.pk for invoice in Invoice.objects.filter(pk__in=wanted)) == sorted(wanted)
    assert Invoice.objects.order_by("-pk").values_list("pk", flat=True)[0] == (sites[-1].pk, 1)
    assert Invoice.objects.values("pk").distinct().count() == 12


def test_a_model_keyed_by_its_own_id_and_its_children(db: None) -> None:
    accounts = [Account.objects.create(email=f"{n}@example.org") for n in range(20)]
    orders = [Order.objects.create(account=account, amount=n) for n, account in enumerate(accounts)]
    assert Account.objects.count() == 20
    with assert_single_shard():
        assert accounts[5].orders.get() == orders[5]
    assert {order.account.email for order in Order.objects.select_related("account")} == {a.email for a in accounts}


def test_a_uuid_form_of_the_id_routes(sites: list[Site]) -> None:
    sessions = [Session.objects.create(site=site) for site in sites]
    with assert_single_shard():
        assert Session.objects.get(pk=sessions[4].pk).site_id == sites[4].pk
    assert Session.objects.count() == 12


def test_a_composite_shard_key_routes(db: None) -> None:
    import datetime

    day = datetime.date(2026, 1, 2)
    Entry.objects.create(region="eu", day=day, line="a")
    with assert_single_shard():
        assert Entry.objects.filter(day=day, region="eu").get().line == "a"


def test_reference_models_are_read_from_one_shard(visits: list[Visit]) -> None:
    with assert_single_shard():
        assert Visit.objects.model._meta.get_field("country").related_model.objects.get().code == "de"


def test_the_query_log_shows_the_shards_queries(visits: list[Visit]) -> None:
    with CaptureQueriesContext(connections["track"]) as captured:
        Visit.objects.filter(site=visits[0].site_id).count()
        Visit.objects.count()
    assert [query["shard"].startswith("track-") for query in captured.captured_queries] == [True] * 5
    with assert_shards(4):
        Visit.objects.count()


def test_a_merge_that_would_hold_too_much(visits: list[Visit]) -> None:
    from tests.changed_databases import limited

    with limited("track", max_rows=20):
        with pytest.raises(RowLimitExceeded, match="MAX_ROWS = 20 rows"):
            list(Visit.objects.all())
        assert len(list(Visit.objects.order_by("pk").iterator(chunk_size=10))) == 60
        assert len(Visit.objects.order_by("pk")[:20]) == 20


def test_partial_aggregates_never_take_the_name_of_another(visits: list[Visit]) -> None:
    found = Visit.objects.aggregate(a=Avg("ms"), a_1=Count("id"), a_2=Sum("ms"))
    assert found == {"a": 2.0, "a_1": 60, "a_2": 120}


def test_select_related_that_leaves_the_group_is_a_second_query(sites: list[Site], visits: list[Visit]) -> None:
    everything = Visit.objects.all()
    everything.query.select_related = True
    names = {site.pk: site.name for site in sites}
    for queryset in (everything, Visit.objects.select_related("site", "visitor__site", "country")):
        with CaptureQueriesContext(connections["default"]) as queries:
            found = {visit.pk: (visit.site.name, visit.visitor.site.name) for visit in queryset}
        assert found == {visit.pk: (names[visit.site_id],) * 2 for visit in visits}
        assert len(queries) == 2
    with CaptureQueriesContext(connections["default"]) as queries:
        visit = Visit.objects.select_related("site", "editor").filter(site=sites[0])[0]
        assert (visit.site.name, visit.editor, visit.site._state.db) == (sites[0].name, None, "default")
    assert len(queries) == 1


def test_columns_left_out_of_a_foreign_row(sites: list[Site], visits: list[Visit]) -> None:
    Visit.objects.update(editor=User.objects.create(username="ann", last_name="x"))
    rows = Visit.objects.select_related("editor")
    some = rows.only("editor", "editor__username")[0]
    assert {"id", "username"} == {name for name in vars(some.editor) if name[0] != "_"}
    rest = rows.defer("editor__username")[0]
    assert "username" not in vars(rest.editor)
    assert rest.editor.last_name == "x"
    assert vars(rows.only("editor")[0].editor).keys() == vars(rows[0].editor).keys()


def test_a_foreign_row_that_is_gone(sites: list[Site], visits: list[Visit]) -> None:
    Site.objects.filter(pk=sites[3].pk)._raw_delete("default")
    found = list(Visit.objects.select_related("site").iterator(chunk_size=7))
    assert len(found) == 60
    orphan = next(visit for visit in found if visit.site_id == sites[3].pk)
    with pytest.raises(Site.DoesNotExist):
        orphan.site  # noqa: B018


def test_joins_that_only_ordering_makes_are_looked_at_too(sites: list[Site], visits: list[Visit]) -> None:
    from tests.shop.models import Country

    refused = pytest.raises(QueryNotSupported, match="once a shard")
    with refused:
        list(Country.objects.order_by("visit__visitor__name"))
    with refused:
        Country.objects.order_by("visit__path")[:3].count()
    inner = Country.objects.filter(pk=OuterRef("country")).order_by("visit__path")
    with pytest.raises(QueryNotSupported, match="not all on each shard"):
        list(Visit.objects.annotate(code=Subquery(inner.values("code")[:1])))


@pytest.mark.parametrize("descending", ["", "-"])
def test_text_is_in_the_order_of_the_database(sites: list[Site], descending: str) -> None:
    texts = ["a", "a ", "a\t", "b", "A", "a\x01b", "", "ä", "\t", " ", "ab", "Z"]
    for number, text in enumerate(texts):
        Visitor.objects.create(site=sites[0], name=text, nick=f"{number:02}")
        Visitor.objects.create(site=sites[number], name=text, nick=f"{number:02}", joined="2026-01-01")
    of_one_shard = Visitor.objects.filter(site=sites[0], joined=None).order_by(f"{descending}name", "nick")
    of_all = Visitor.objects.filter(joined="2026-01-01").order_by(f"{descending}name", "nick")
    assert [row.name for row in of_all] == [row.name for row in of_one_shard]
    assert (
        of_all.values("name").distinct().order_by().count() == of_one_shard.values("name").distinct().order_by().count()
    )
    assert of_all.aggregate(Max("name"))["name__max"] == of_one_shard.aggregate(Max("name"))["name__max"]


def test_distinct_with_an_ordering_that_is_not_selected(sites: list[Site]) -> None:
    for number, site in enumerate(sites):
        Visitor.objects.create(site=site, name="x", nick=[None, "\u0308a", "b"][number % 3])
    rows = Visitor.objects.order_by(F("nick").asc(nulls_last=True)).values_list("name", flat=True).distinct()
    assert list(rows) == ["x"] * 3
    rows = Visitor.objects.order_by(F("nick").desc(nulls_first=True), "pk").values_list("pk", flat=True).distinct()
    assert len(rows) == 12


@pytest.mark.parametrize("end", ["first", "last"])
@pytest.mark.parametrize("way", ["asc", "desc"])
def test_distinct_with_nulls_at_an_end_of_what_is_not_selected(sites: list[Site], way: str, end: str) -> None:
    """MySQL has no word for it: the test for NULL that stands in ORDER BY has to be selected, too."""
    for number, site in enumerate(sites):
        Visitor.objects.create(site=site, name=f"x{number % 2}", nick=[None, "aa", "b"][number % 3])
    order = getattr(F("length"), way)(**{f"nulls_{end}": True})
    rows = Visitor.objects.annotate(length=Length("nick")).order_by(order, "-name").values("name").distinct()
    lengths = [None] * (end == "first") + ([1, 2] if way == "asc" else [2, 1]) + [None] * (end == "last")
    assert [row["name"] for row in rows] == [name for _ in lengths for name in ("x1", "x0")]
