"""Joins that leave the shards: conditions and columns of rows elsewhere, by key."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db import connections
from django.db.models import CharField, Count, Exists, F, FilteredRelation, OuterRef, Q, Subquery, Sum, Value, Window
from django.db.models.functions import RowNumber, Upper
from django.db.transaction import atomic
from django.test.utils import CaptureQueriesContext

from horizon_shards.context import allow_federation
from horizon_shards.exceptions import QueryNotSupported
from horizon_shards.testing import capture_shards
from horizon_shards.topology import get_group
from tests.shop.models import Country, Session, Site, Tag, Tagging, Visit, Visitor

pytestmark = pytest.mark.django_db(databases=["default", "track"])


@pytest.fixture
def edited(visits: list[Visit]) -> list[Visit]:
    """Visits, of which two have an editor that exists, and one has an editor that is gone."""
    for visit, name in zip(visits, ("ann", "bob"), strict=False):
        visit.editor = User.objects.create(username=name, last_name="" if name == "ann" else "x")
        visit.save()
    Visit.objects.filter(pk=visits[2].pk).update(editor=987_654)
    return visits


def test_a_condition_narrows_the_shards(sites: list[Site], visits: list[Visit]) -> None:
    with capture_shards() as captured:
        assert {visit.site_id for visit in Visit.objects.filter(site__name="site 3")} == {sites[3].pk}
    assert captured[0].shards == (get_group("track").mapping.resolve(sites[3].pk),)
    assert Visit.objects.filter(site__name="site 3", ms=2).count() == 1
    assert Visit.objects.filter(Q(site__name="site 3") | Q(site__name="site 4")).aggregate(Sum("ms"))["ms__sum"] == 20
    assert Visit.objects.filter(Q(site__name="site 3") | Q(ms=0)).count() == 5 + 11
    assert Visit.objects.filter(visitor__site__name="site 3").count() == 5
    assert len(Visit.objects.filter(site__name__startswith="site 1").order_by("-ms")[:3]) == 3


def test_excluding(visits: list[Visit]) -> None:
    assert Visit.objects.exclude(site__name="site 3").count() == 55
    assert Visit.objects.exclude(site__name="site 3", ms=1).count() == 59
    assert Visit.objects.filter(~Q(site__name="site 3") & ~Q(ms=1)).count() == 44
    assert Visit.objects.exclude(~Q(site__name="site 3")).count() == 5


def test_a_nullable_relation(edited: list[Visit]) -> None:
    everything = Visit.objects.all()
    assert list(everything.filter(editor__username="ann")) == [edited[0]]
    assert everything.exclude(editor__username="ann").count() == 59
    assert everything.filter(editor__username__isnull=True).count() == 58
    assert everything.filter(editor__username__isnull=False).count() == 2
    assert everything.filter(Q(editor__username="ann") | Q(pk=edited[7].pk)).count() == 2
    assert everything.filter(Q(editor__username=None) | Q(editor__last_name="")).count() == 59
    assert everything.exclude(Q(editor__username="ann") | Q(ms=1)).count() == 47
    assert everything.filter(~Q(editor__last_name="x")).count() == 59


def test_several_rows_behind_a_nullable_relation(edited: list[Visit]) -> None:
    groups = [Group.objects.create(name=name) for name in ("admins", "authors", "")]
    User.objects.get(username="ann").groups.set(groups)
    everything = Visit.objects.order_by("pk")
    in_groups = everything.filter(editor__groups__name__startswith="a")
    assert list(in_groups) == [edited[0]] * 2
    assert list(in_groups.distinct()) == [edited[0]]
    assert in_groups.exists()
    assert list(everything.filter(editor__groups__name="")) == [edited[0]]
    assert edited[0] not in everything.filter(editor__groups__name=None)
    assert everything.filter(editor__groups__name=None).count() == 59
    either = everything.filter(Q(editor__groups__name=None) | Q(editor__groups__name=""))
    assert len(either) == 60
    assert sum(visit == edited[0] for visit in everything.filter(editor__groups__name__gte="")) == 3
    names = everything.filter(editor__username="ann").values_list("editor__groups__name", flat=True)
    assert sorted(names) == ["", "admins", "authors"]
    assert everything.exclude(editor__groups__name="admins").count() == 59
    # A visit whose editor is gone counts as one with groups, as it does in one database.
    assert everything.exclude(editor__groups__name=None).count() == 2


def test_either_or_of_two_conditions_on_rows_that_may_be_missing(edited: list[Visit]) -> None:
    everything = Visit.objects.all()
    ann, other = Q(editor__username="ann"), Q(editor__last_name="x")
    assert not everything.filter(~ann ^ ~ann).exists()
    assert everything.filter(~ann ^ ~other).count() == 2
    assert everything.filter(~ann ^ ~other ^ ~ann).count() == 59
    with pytest.raises(QueryNotSupported):
        everything.filter(ann ^ ~other).count()


def test_either_side_of_an_or_joins_the_other_row(edited: list[Visit]) -> None:
    """Django joins inner where each side names the relation, also one that its own column answers."""
    everything = Visit.objects.all()
    either = everything.filter(Q(editor__username="ann") | Q(editor_id__gt=0))
    assert set(either) == set(edited[:2])
    assert either.count() == len(either.values("site__name", "path")) == 2
    assert sum(row["n"] for row in either.values("bot").annotate(n=Count("pk"))) == 2
    assert {*everything.filter(Q(editor__username="ann") | ~Q(editor=None))} == set(edited[:2])
    with_more = Q(editor__last_name="x", ms=edited[1].ms)
    with CaptureQueriesContext(connections["default"]) as asked:
        assert set(everything.filter(Q(editor__username="ann", ms=edited[0].ms) | with_more)) == set(edited[:2])
    assert len(asked) == 2  # both sides ask for an editor: nobody has to ask once more
    assert either.update(path="either") == 2
    assert either.delete()[0] == 2


def test_columns(sites: list[Site], edited: list[Visit]) -> None:
    rows = Visit.objects.filter(ms=1).values("path", "site__name")
    assert sorted(row["site__name"] for row in rows) == sorted(f"site {n}" for n in range(12))
    assert {row["path"] for row in rows} == {"/1"}
    flat = Visit.objects.filter(site=sites[2]).values_list("site__name", flat=True)
    assert list(flat) == ["site 2"] * 5
    assert {visit.name for visit in Visit.objects.filter(site=sites[2]).annotate(name=F("site__name"))} == {"site 2"}
    upper = Visit.objects.filter(site__name="site 2").annotate(name=Upper("site__name"))
    assert {visit.name for visit in upper} == {"SITE 2"}
    editors = Visit.objects.order_by("pk").values_list("pk", "editor__username", "editor__last_name")
    assert {row for row in editors if row[1] is not None} == {(edited[0].pk, "ann", ""), (edited[1].pk, "bob", "x")}
    assert len(editors) == 60
    assert next(iter(editors[:1]))[0] == min(visit.pk for visit in edited)
    assert editors.count() == 60


def test_order(sites: list[Site], edited: list[Visit]) -> None:
    for number, site in enumerate(sites):
        Site.objects.filter(pk=site.pk).update(name=f"name {number % 3}")
    found = Visit.objects.order_by("-site__name", "ms", "pk")
    expected = sorted(
        sorted((visit.ms, visit.pk) for visit in edited),
        key=lambda pair: -(sites.index(next(visit.site for visit in edited if visit.pk == pair[1])) % 3),
    )
    assert [visit.pk for visit in found] == [pk for _, pk in expected]
    assert list(found.values_list("pk", flat=True)[3:7]) == [pk for _, pk in expected[3:7]]
    assert list(found.values_list("ms")[:1]) == [(0,)]
    assert found.first().pk == expected[0][1]
    assert found.last().pk == expected[-1][1]
    assert found.count() == 60
    assert found.exists()
    names = Visit.objects.order_by("editor__username", "pk").values_list("editor__username", flat=True)
    assert sorted(filter(None, names)) == [name for name in names if name]
    assert next(iter(Visit.objects.order_by(F("editor__username").asc(nulls_last=True), "pk"))) == edited[0]
    by_annotation = Visit.objects.annotate(n=Upper("site__name")).order_by("n", "-pk").values("pk")
    assert by_annotation[0]["pk"] == max(visit.pk for visit in edited if sites.index(visit.site) % 3 == 0)
    related = Visit.objects.order_by("site__name", "pk").select_related("visitor", "site")
    assert [visit.visitor.site_id for visit in related] == [visit.site_id for visit in related]


def test_an_order_by_what_can_never_hold(visits: list[Visit]) -> None:
    """Django finds the whole answer empty: a value for it stands in the SELECT, but not in the ORDER BY."""
    never = Subquery(Visit.objects.filter(path__in=[], visitor=OuterRef("pk")).values("ms")[:1])
    rows = Visitor.objects.annotate(n=never)
    for order in (("n",), ("id", "n"), ("site__name", "n")):
        assert list(rows.order_by(*order).values("site")) == []
    assert rows.count() == Visitor.objects.count() > 0


class Cut(CharField):
    def select_format(self, compiler: Any, sql: str, params: Any) -> Any:
        return f"SUBSTR({sql}, 2)", params


def test_values_that_selecting_changes_are_not_compared(monkeypatch: pytest.MonkeyPatch, visits: list[Visit]) -> None:
    """What a step selected would be compared with what the rows hold."""
    monkeypatch.setattr(Site._meta.get_field("name"), "__class__", Cut)
    Visit.objects.filter(pk__in=[visits[0].pk, visits[1].pk]).update(path="site 3")
    same = Visit.objects.filter(Exists(Site.objects.filter(name=OuterRef("path"))))
    for query in (same, Visit.objects.order_by("site__name")):
        with pytest.raises(QueryNotSupported):
            list(query)
    if connections["track"].vendor == "sqlite":  # texts of servers compare otherwise
        with allow_federation(1000):
            assert same.count() == 2
            assert set(same.values_list("site__name", flat=True)) == {visit.site.name[1:] for visit in visits[:2]}


def test_rows_without_the_other_row_of_an_inner_join(sites: list[Site], visits: list[Visit]) -> None:
    Site.objects.filter(pk=sites[0].pk)._raw_delete("default")
    names = Visit.objects.order_by("ms", "site").values_list("site__name", flat=True)
    assert len(names) == 55
    assert list(names[:11]) == [f"site {n}" for n in range(1, 12)]
    assert list(names[1:3]) == ["site 2", "site 3"]
    assert names.count() == 55


def test_one_query_a_relation(django_assert_num_queries: Any, edited: list[Visit]) -> None:
    with django_assert_num_queries(2, using="default"):
        assert len(Visit.objects.values("site__name", "editor__username", "editor__email")) == 60
    with django_assert_num_queries(1, using="default"):
        list(Visit.objects.filter(site__name="site 3").values("path"))


def test_writes(visits: list[Visit]) -> None:
    assert Visit.objects.filter(site__name="site 3").update(path="x") == 5
    assert Visit.objects.filter(path="x", site__name="site 3").count() == 5
    assert Visit.objects.filter(site__name="site 3").delete()[0] == 5
    assert Visit.objects.exclude(site__name="site 4").update(ms=9) == 50


def test_a_delete_by_many_rows_elsewhere(edited: list[Visit]) -> None:
    tag = Tag.objects.create(site=edited[0].site, name="a")
    User.objects.get(username="ann").groups.add(Group.objects.create(name="admins"), Group.objects.create(name="x"))
    for visit in (edited[0], edited[2]):
        Tagging.objects.create(site=visit.site, visit=visit, tag=Tag.objects.create(site=visit.site, name="b"))
    Tagging.objects.create(site=tag.site, visit=edited[0], tag=tag)
    of_admins = Tagging.objects.annotate(name=F("visit__editor__username")).filter(visit__editor__groups__name="admins")
    assert of_admins.delete()[0] == 2
    assert Tagging.objects.filter(visit__editor__groups__name="admins").count() == 0 != Tagging.objects.count()


def test_an_update_in_the_order_of_far_rows(sites: list[Site], visits: list[Visit]) -> None:
    named = Visit.objects.annotate(name=Upper("site__name")).filter(ms=1)
    assert named.order_by("name").update(path="up") == 12
    assert named.order_by("-name").update(path="down") == 12
    assert Visit.objects.filter(path="down").count() == 12


def test_an_update_that_one_table_alone_cannot_have_asks_for_keys(sites: list[Site], visits: list[Visit]) -> None:
    """Of several tables, Django asks for keys first; MySQL reads no table that it updates, and none takes a window."""
    ranked = Visit.objects.annotate(rank=Window(RowNumber(), partition_by="site", order_by="-ms")).filter(rank__lte=2)
    assert ranked.filter(site__name__in=["site 3", "site 4"]).update(path="slow") == 4
    found = Visit.objects.filter(path="slow").values_list("site__name", "ms")
    assert sorted(found) == [("site 3", 3), ("site 3", 4), ("site 4", 3), ("site 4", 4)]
    slower = Visit.objects.filter(site=OuterRef("site"), ms__gt=OuterRef("ms"))
    assert Visit.objects.filter(~Exists(slower), site__name="site 5").update(path="slowest") == 1
    assert Visit.objects.get(path="slowest").ms == 4


def test_the_plan(visits: list[Visit]) -> None:
    lines = Visit.objects.filter(site__name="x").values("site__name").explain().splitlines()
    assert lines[0] == "first: the values of 'id' of shop.Site from default"
    assert lines[2].startswith("scatter select on track")
    assert lines[-1] == "join: 1 column(s) of shop.Site by 'id', 1000 rows at a time"


def test_reference_rows_without_a_sharded_one(visits: list[Visit]) -> None:
    Country.objects.create(code="fr", name="France")
    assert [country.code for country in Country.objects.filter(visit__isnull=True)] == ["fr"]
    assert [country.code for country in Country.objects.exclude(visit__ms=1)] == ["fr"]


def test_rows_that_a_join_repeats(visits: list[Visit]) -> None:
    """Visits joined with the visits of their country: an inner join gives each row once for each of them."""
    joined = Visit.objects.filter(country__visit__ms=1)
    with pytest.raises(QueryNotSupported, match="several rows for one"):
        joined.count()
    assert len(joined) == 60 * 12
    assert len(Country.objects.get().visit_set.filter(country__visit__ms__lt=2).values_list("path")) == 60 * 24
    assert joined.distinct().count() == 60
    assert joined.exists()
    counted = joined.annotate(n=Count("tags"))
    for ask in (counted.distinct().first, counted.filter(n=0).exists, counted.filter(n=0).distinct().count):
        with pytest.raises(QueryNotSupported, match="several rows for one"):
            ask()
    assert joined.update(ms=5) == 60
    one = Visit.objects.filter(country__visit=visits[0].pk)
    assert one.count() == len(one) == 60
    outer = Country.objects.filter(Q(visit__ms__gte=5) | Q(visit__isnull=True))
    assert len(outer) == 60
    with pytest.raises(QueryNotSupported, match="several rows for one"):
        outer.all().count()
    assert [country.code for country in outer.distinct()] == ["de"]


def test_what_no_step_answers(visits: list[Visit]) -> None:
    queries = (
        Visit.objects.values("site__name").annotate(n=Count("pk")),
        Visit.objects.values("site__name").distinct(),
        Visit.objects.filter(path=F("site__name")),
        Visit.objects.order_by("path", "site__name"),
    )
    for queryset in queries:
        with pytest.raises(QueryNotSupported, match=r"shop\.Site"):
            list(queryset)


def test_a_condition_of_a_join_behind_the_first(edited: list[Visit]) -> None:
    """It may be about the row itself, and where it never holds, Django asks for no row."""
    User.objects.get(username="ann").groups.add(Group.objects.create(name=edited[0].path))
    for name, number in ((F("path"), 1), (Value("nothing"), 0)):
        relation = FilteredRelation("editor__groups", condition=Q(editor__groups__name=name))
        found = Visit.objects.alias(crowd=relation).filter(crowd__isnull=False)
        with pytest.raises(QueryNotSupported, match="a condition of its own"):
            list(found)
        if connections["track"].vendor == "sqlite":  # texts of servers compare otherwise
            with allow_federation(1000):
                assert len(found) == number


def test_rows_that_far_columns_choose_are_aggregated_over_by_federation_alone(visits: list[Visit]) -> None:
    """The order says which rows the slice has, also by a column that the rows do not show."""
    named = Visit.objects.annotate(name=Upper("site__name")).order_by("-name", "-ms").values("pk", "ms")
    with pytest.raises(QueryNotSupported, match="is aggregated over"):
        named[1:4].aggregate(Sum("ms"))
    with pytest.raises(QueryNotSupported, match="is ordered by"):
        named.order_by("pk", "name")[:3].count()
    with allow_federation(1_000):
        assert named[1:4].aggregate(Sum("ms")) == {"ms__sum": 3 + 2 + 1}
        assert named.order_by("pk", "name")[:3].count() == 3


def test_rows_to_delete_are_not_chosen_by_an_aggregate_over_a_join(sites: list[Site]) -> None:
    Session.objects.create(site=sites[0])
    counted = Session.objects.filter(site__name="site 0").annotate(n=Count("pk")).filter(n=1)
    with pytest.raises(QueryNotSupported, match="aggregate"), atomic(using="track"):
        counted.delete()
    with allow_federation(100):
        assert counted.delete()[0] == 1
    assert not Session.objects.exists()


def test_select_related_without_names_overrides_defer(sites: list[Site], visits: list[Visit]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = Visit.objects.defer("site").select_related().order_by("pk").first()
    assert found is not None
    with CaptureQueriesContext(connections["default"]) as queries:
        assert found.site in sites
    assert not queries
