"""union(), intersection() and difference() over shards."""

from __future__ import annotations

import pytest
from django.db import DatabaseError, connections
from django.db.models import Count, Exists, F, Sum, Value
from django.db.models.functions import Lower
from django.test.utils import CaptureQueriesContext

from horizon_shards import forbid_scatter
from horizon_shards.exceptions import QueryNotSupported, RowLimitExceeded, ScatterForbidden
from tests.changed_databases import limited
from tests.shop.models import Country, Invoice, Site, Tag, Visit, Visitor

pytestmark = pytest.mark.django_db(databases=["default", "track"])


def test_rows_of_all_parts(visits: list[Visit]) -> None:
    low, high = Visit.objects.filter(ms__lte=2), Visit.objects.filter(ms__gte=2)
    assert {visit.pk for visit in low.union(high)} == {visit.pk for visit in visits}
    assert low.union(high).count() == 60
    assert low.union(high, all=True).count() == 72
    assert {visit.ms for visit in low.intersection(high)} == {2}
    assert low.intersection(high).count() == 12
    assert {visit.ms for visit in low.difference(high)} == {0, 1}
    assert {visit.ms for visit in Visit.objects.difference(low, high.filter(ms=4))} == {3}
    assert low.union(high).first()._state.db == "track"


def test_equal_values_come_once(visits: list[Visit]) -> None:
    low, high = (Visit.objects.filter(ms__lte=2).values_list("path"), Visit.objects.filter(ms__gte=1))
    assert sorted(low.union(high.values_list("path"))) == [(f"/{n}",) for n in range(5)]
    assert sorted(low.intersection(high.values_list("path"))) == [("/1",), ("/2",)]
    assert sorted(low.difference(high.values_list("path"))) == [("/0",)]
    assert low.union(high.values_list("path")).count() == 5


def test_nulls_are_equal(sites: list[Site]) -> None:
    for number, site in enumerate(sites):
        Visitor.objects.create(site=site, name="a", nick=None if number % 2 else "x")
    nicks = Visitor.objects.values_list("nick", flat=True)
    assert sorted(nicks.union(nicks), key=str) == [None, "x"]
    assert sorted(nicks.intersection(nicks.filter(nick=None)), key=str) == [None]
    assert list(nicks.difference(nicks.filter(nick=None))) == ["x"]


def test_order_and_slices_are_of_the_whole(sites: list[Site], visits: list[Visit]) -> None:
    low, high = Visit.objects.filter(ms__lte=1), Visit.objects.filter(ms__gte=3)
    rows = low.union(high, all=True)
    assert [visit.ms for visit in rows.order_by("-ms", "pk")[10:14]] == [4, 4, 3, 3]
    assert [visit.pk for visit in rows.order_by("ms", "pk")] == [
        visit.pk for visit in sorted(visits, key=lambda visit: (visit.ms, visit.pk)) if visit.ms != 2
    ]
    values = low.values_list("path", "ms").union(high.values_list("path", "ms"))
    assert list(values.order_by("-path")[1:3]) == [("/3", 3), ("/1", 1)]
    assert [row[1] for row in values.order_by(F("ms").desc(nulls_last=True))] == [4, 3, 1, 0]
    assert low.union(high)[:5].count() == 5
    assert list(values.order_by("path")[4:]) == []


def test_order_by_what_is_not_selected(visits: list[Visit]) -> None:
    rows = Visit.objects.filter(ms=1).union(Visit.objects.filter(ms=3)).values_list("path")
    assert list(rows.order_by("-ms")) == [("/3",), ("/1",)]
    with pytest.raises(DatabaseError, match="ORDER BY term does not match"):
        list(Visit.objects.values("path").union(Visit.objects.values("path")).order_by("ms"))


def test_each_shard_sorts_and_cuts(visits: list[Visit]) -> None:
    rows = Visit.objects.filter(ms__lte=2).union(Visit.objects.filter(ms__gte=2), all=True).order_by("ms", "pk")[2:5]
    with CaptureQueriesContext(connections["track"]) as queries:
        assert [visit.ms for visit in rows] == [0, 0, 0]
    assert len(queries) == 8
    assert all("ORDER BY" in query["sql"] and "LIMIT 5" in query["sql"] for query in queries)


def test_exists_fetches_one_row_a_shard(visits: list[Visit]) -> None:
    with CaptureQueriesContext(connections["track"]) as queries:
        assert Visit.objects.filter(ms=1).union(Visit.objects.filter(ms=99)).exists()
    assert all("LIMIT 1" in query["sql"] for query in queries)
    # The second part is not asked any more.
    assert len(queries) == 4
    assert not Visit.objects.filter(ms=98).union(Visit.objects.filter(ms=99)).exists()
    assert not Visit.objects.filter(ms=1).intersection(Visit.objects.filter(ms=2)).exists()
    assert Visit.objects.filter(ms=1).difference(Visit.objects.filter(ms=2)).exists()


def test_parts_on_one_shard_are_one_statement(sites: list[Site], visits: list[Visit]) -> None:
    ours = Visit.objects.filter(site=sites[0])
    with CaptureQueriesContext(connections["track"]) as queries:
        assert len(ours.filter(ms=1).union(ours.filter(ms=2))) == 2
    assert len(queries) == 1
    assert len(ours.filter(ms=1).union(Visit.objects.filter(site=sites[0], ms__in=[]))) == 1


def test_a_reference_model_is_read_where_the_other_part_is(sites: list[Site], visits: list[Visit]) -> None:
    for site in sites:
        names = Visitor.objects.filter(site=site).values_list("name", flat=True)
        with CaptureQueriesContext(connections["track"]) as queries:
            found = set(names.union(Country.objects.values_list("name", flat=True)))
        assert found == {"Germany", f"visitor {site.pk}"}
        assert len(queries) == 1
    everything = Visitor.objects.values_list("name", flat=True).union(Country.objects.values_list("name", flat=True))
    assert everything.count() == 13


def test_empty_parts(visits: list[Visit]) -> None:
    some, empty = Visit.objects.filter(ms=1), Visit.objects.filter(pk__in=[])
    assert len(some.union(empty)) == 12
    assert len(empty.union(some, all=True).order_by("pk")[:3]) == 3
    assert len(empty.union(empty)) == 0
    assert len(some.intersection(empty)) == 0
    assert len(some.difference(empty)) == 12
    assert len(empty.difference(some)) == 0
    assert empty.union(empty).count() == 0
    assert len(some.none().union(some, some)) == 12


def test_the_only_part_that_can_find_anything_keeps_its_repeats(sites: list[Site], visits: list[Visit]) -> None:
    """As in one database, where Django leaves the other parts out, and with them the set operation."""
    nothing, paths = Visit.objects.filter(site__in=[]).values("path"), Visit.objects.values("path")
    assert len(nothing.union(paths)) == len(paths.union(nothing)) == len(paths) == 60
    on_one_shard = paths.filter(site__in=sites[:1] * 2)
    assert len(nothing.union(on_one_shard)) == nothing.union(on_one_shard).count() == 5
    assert nothing.union(paths).count() == 60
    assert len(nothing.union(paths)[:10]) == 5
    assert len(nothing.union(paths, paths)) == 5
    every_site = Visit.objects.values("site").difference(Visit.objects.filter(pk__in=[]).values("site"))
    assert len(every_site) == 60
    assert [row["site"] for row in every_site.order_by("site")[:3]] == [min(site.pk for site in sites)] * 3
    assert len(Visit.objects.values("site").difference(Visit.objects.filter(ms=-1).values("site"))) == 12


def test_a_part_whose_inner_query_can_find_nothing_is_left_out(visits: list[Visit]) -> None:
    """As in one database, again; with one that could find something, and with EXISTS, the set operation stays."""
    paths = Visit.objects.values("path")
    for nobody, rows in ((Site.objects.filter(name__in=[]), 60), (Site.objects.filter(name="nobody"), 5)):
        for part in (Visit.objects.filter(site__in=nobody), Visit.objects.filter(site=nobody.values("pk")[:1])):
            none = part.values("path")
            assert len(paths.union(none)) == paths.union(none).count() == rows
            assert len(paths.difference(none, none)) == len(none.union(paths).values("path")) == rows
        assert len(paths.union(Visit.objects.filter(Exists(nobody)).values("path"))) == 5
        assert len(paths.union(Visit.objects.exclude(site__in=nobody).values("path"))) == 5


def test_nested_set_operations(visits: list[Visit]) -> None:
    def paths(*numbers: int) -> object:
        return Visit.objects.filter(ms__in=numbers).values_list("path", flat=True)

    assert sorted(paths(0, 1).union(paths(2)).intersection(paths(1, 2, 3))) == ["/1", "/2"]
    assert sorted(paths(0, 1, 2).difference(paths(0)).union(paths(4))) == ["/1", "/2", "/4"]
    assert paths(0).union(paths(1), paths(2).union(paths(3))).count() == 4


def test_values_of_different_models_and_columns(visits: list[Visit]) -> None:
    Tag.objects.create(site=visits[0].site, name="/1")
    rows = Tag.objects.values_list("name").union(Visit.objects.values_list("path"), all=True)
    assert rows.count() == 61
    assert rows.order_by("name")[0] == ("/0",)
    assert Visit.objects.filter(ms=1).union(Visit.objects.filter(ms=2)).values_list("ms").order_by("-ms")[0] == (2,)
    marked = Visit.objects.annotate(which=Value("a")).values("which").union(Visit.objects.values(which=Value("b")))
    assert [row["which"] for row in marked.order_by("-which")] == ["b", "a"]


def test_groups_as_parts(visits: list[Visit]) -> None:
    groups = Visit.objects.values("path").annotate(n=Count("pk"), total=Sum("ms", default=0))
    found = groups.filter(path="/1").union(groups.filter(path__in=["/1", "/4"])).order_by("-total")
    assert [(row["path"], row["n"], row["total"]) for row in found] == [("/4", 12, 48), ("/1", 12, 12)]


def test_composite_keys_and_relations(sites: list[Site], visits: list[Visit]) -> None:
    for site in sites:
        Invoice.objects.create(site=site, number=site.pk, total=1)
    rows = Invoice.objects.all().union(Invoice.objects.filter(number__gt=0))
    assert [invoice.pk for invoice in rows.order_by("-number")] == [(site.pk, site.pk) for site in reversed(sites)]
    joined = Visit.objects.filter(ms=1).select_related("visitor")
    found = list(joined.union(joined).order_by("pk"))
    assert len(found) == 12
    with CaptureQueriesContext(connections["track"]) as queries:
        assert {visit.visitor.name for visit in found} == {f"visitor {site.pk}" for site in sites}
    assert len(queries) == 0
    if connections["track"].vendor == "mysql":
        with pytest.raises(QueryNotSupported, match="select_related"):
            list(joined.union(joined).order_by("path"))
    with pytest.raises(QueryNotSupported) as refusal:
        list(Visit.objects.select_related("site").union(Visit.objects.select_related("site")))
    assert refusal.value.reason == "join-leaves-group"


@pytest.mark.parametrize("chunk_size", [1, 7])
def test_streaming(visits: list[Visit], chunk_size: int) -> None:
    rows = Visit.objects.filter(ms__lte=2).union(Visit.objects.filter(ms__gte=2), all=True).order_by("ms", "pk")
    with limited("track", max_rows=10):
        assert [visit.ms for visit in rows.iterator(chunk_size=chunk_size)] == sorted([0, 1, 2, 2, 3, 4] * 12)
        with pytest.raises(RowLimitExceeded):
            list(rows)
        assert next(rows.iterator(chunk_size=chunk_size)).ms == 0


def test_the_policy_is_that_of_the_whole(sites: list[Site], visits: list[Visit]) -> None:
    every = Visit.objects.filter(ms=1).union(Visit.objects.filter(ms=2))
    with forbid_scatter(), pytest.raises(ScatterForbidden, match="the parts are on 4 shards"):
        list(every)
    ours = Visit.objects.filter(site=sites[0])
    with forbid_scatter():
        assert len(ours.union(ours)) == 5


def test_explain_shows_the_parts(visits: list[Visit]) -> None:
    text = Visit.objects.filter(ms=1).union(Visit.objects.filter(ms=2)).order_by("ms")[:5].explain()
    assert "scatter select on track: track-1, track-2, track-3, track-4" in text
    assert "merge: union of 2 parts" in text
    assert text.count("  because the condition does not name the shard key") == 2


def test_what_has_no_common_type_is_refused(visits: list[Visit]) -> None:
    numbers, paths = Visit.objects.values_list("ms"), Visit.objects.values_list("path")
    if connections["track"].vendor == "sqlite":
        assert numbers.union(paths).count() == 10
        assert [value for (value,) in numbers.union(paths).order_by("ms")][:6] == [0, 1, 2, 3, 4, "/0"]
    else:
        with pytest.raises(QueryNotSupported) as refusal:
            list(numbers.union(paths))
        assert refusal.value.reason == "combinator"
    with pytest.raises(QueryNotSupported, match="same number of columns"):
        list(Visit.objects.values("ms").union(Visit.objects.values("ms", "path")))


def test_aggregates_of_a_union_are_refused(visits: list[Visit]) -> None:
    with pytest.raises(QueryNotSupported) as refusal:
        Visit.objects.filter(ms=1).union(Visit.objects.filter(ms=2)).aggregate(Sum("ms"))
    assert refusal.value.reason == "aggregate-over-rows"


def test_a_part_with_its_own_limit_where_the_engine_has_that(visits: list[Visit]) -> None:
    first = Visit.objects.order_by("ms", "pk")[:3]
    rows = first.union(Visit.objects.filter(ms=4)).order_by("-ms", "pk")
    if connections["track"].features.supports_slicing_ordering_in_compound:
        assert [visit.ms for visit in rows[10:]] == [4, 4, 0, 0, 0]
    else:
        with pytest.raises(DatabaseError, match="LIMIT/OFFSET not allowed"):
            list(rows)


@pytest.mark.django_db(databases=["default", "track", "track_1"])
def test_texts_that_the_database_calls_equal_come_once(sites: list[Site]) -> None:
    for site, name in zip(sites, ["a", "A", "ä", "b", "B ", "b"] * 2, strict=True):
        Visitor.objects.create(site=site, name=name)
    names = Visitor.objects.values_list("name", flat=True)
    with connections["track_1"].cursor() as cursor:
        cursor.execute("SELECT 'a' = 'A'")
        folds = bool(cursor.fetchone()[0])
    assert names.union(names).count() == (2 if folds else 5)
    assert names.filter(name="a").intersection(names.filter(name="A")).count() == (1 if folds else 0)
    if connections["track"].vendor != "postgresql":
        ordered = [name.strip().lower() for name in names.union(names).order_by("name")]
        assert ordered[0] in ("a", "ä" if folds else "b")
    assert names.annotate(low=Lower("name")).values("low").union(names.values(low=F("nick"))).count() >= 1


def test_parts_whose_values_are_read_otherwise_are_refused(visits: list[Visit]) -> None:
    """Django reads all rows as the first part's: a date of a datetime, a boolean of a number."""
    for one, other in (("bot", "ms"), ("bot", "path"), ("at", "at__date"), ("price", "ms")):
        parts = [Visit.objects.values_list(name) for name in (one, other)]
        for union in (parts[0].union(parts[1]), parts[1].union(parts[0])):
            with pytest.raises(QueryNotSupported, match="different types"):
                list(union)
