"""Queries inside queries whose rows are elsewhere: they run first, and their values are bound."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connections
from django.db.models import (
    Case,
    Count,
    Exists,
    ExpressionWrapper,
    F,
    IntegerField,
    Max,
    OuterRef,
    Q,
    Subquery,
    Value,
    When,
)
from django.db.models.functions import Coalesce, Collate, Upper

from horizon_shards.exceptions import KeyLimitExceeded, QueryNotSupported
from horizon_shards.testing import capture_shards
from horizon_shards.topology import get_group
from tests.shop.models import Country, Customer, Site, Tag, Visit, Visitor

pytestmark = pytest.mark.django_db(databases=["default", "track", "crm"])


def named(*names: str) -> Any:
    """The sites of these names: rows of the default database."""
    return Site.objects.filter(name__in=names)


def paths(queryset: Any) -> list[str]:
    return sorted(queryset.values_list("path", flat=True))


def test_keys_from_the_default_database_are_bound_and_narrow_the_shards(sites: list[Site], visits: list[Visit]) -> None:
    queryset = Visit.objects.filter(site__in=named("site 3"))
    with capture_shards() as captured:
        assert {visit.site_id for visit in queryset} == {sites[3].pk}
    assert captured[0].shards == (get_group("track").mapping.resolve(sites[3].pk),)
    assert queryset.count() == 5
    assert queryset.exists()
    assert queryset.aggregate(Max("ms")) == {"ms__max": 4}
    assert queryset.order_by("-ms")[1].path == "/3"
    assert len(queryset.values("path").annotate(n=Max("ms"))) == 5


def test_the_inner_query_runs_at_each_execution(sites: list[Site], visits: list[Visit]) -> None:
    queryset = Visit.objects.filter(site__in=named("other"))
    assert not queryset.exists()
    Site.objects.filter(pk=sites[0].pk).update(name="other")
    assert queryset.count() == 5


def test_texts_of_another_collation_are_not_listed(sites: list[Site], visits: list[Visit]) -> None:
    """A list has no collation: where the inner column's would decide, the answer would be another one."""
    name = {"sqlite": "NOCASE", "mysql": "utf8mb4_bin", "postgresql": "C"}[connections["track"].vendor]
    Tag.objects.create(site=sites[0], name="/1")
    inner = Tag.objects.annotate(collated=Collate("name", name), upper=Upper("name"))
    collated = Visit.objects.annotate(collated=Collate("path", name), upper=Upper("path"))
    assert paths(collated.filter(collated__in=inner.values("name"))) == ["/1"] * 12
    assert paths(collated.filter(upper__in=inner.values("upper"))) == ["/1"] * 12
    held = collated.annotate(held=Subquery(Country.objects.filter(pk=OuterRef("country")).values("code")))
    assert paths(held.filter(held__in=inner.values("name"))) == []
    for column in ("path", "collated", "upper", "held"):
        with pytest.raises(QueryNotSupported, match="pass them as a list"):
            held.filter(**{f"{column}__in": inner.values("collated")}).exists()
    with pytest.raises(QueryNotSupported, match="pass them as a list"):
        held.annotate(known=Value("/1")).filter(known__in=inner.values("name")).exists()


def test_other_values_than_keys(sites: list[Site], visits: list[Visit]) -> None:
    for name in ("/1", "/3", "/3"):
        Tag.objects.create(site=sites[0], name=name)
    assert paths(Visit.objects.filter(path__in=Tag.objects.values("name"))) == ["/1"] * 12 + ["/3"] * 12
    assert paths(Visit.objects.filter(site__lte=sites[0].pk).exclude(path__in=Tag.objects.values("name"))) == [
        "/0",
        "/2",
        "/4",
    ]


def test_not_in_is_unknown_where_a_value_is_null(sites: list[Site], visits: list[Visit]) -> None:
    Visitor.objects.create(site=sites[0], name="x", nick="/1")
    nicks = Visitor.objects.values("nick")
    assert Visit.objects.filter(path__in=nicks).count() == 12
    assert Visit.objects.exclude(path__in=nicks.filter(nick=None)).count() == 0
    assert Visit.objects.filter(~Q(path__in=nicks) | Q(path="/2")).count() == 12
    assert Visit.objects.exclude(path__in=nicks.filter(nick="nobody")).count() == 60
    assert Visit.objects.exclude(path__in=nicks.filter(nick="/1")).count() == 48


def test_the_database_of_the_outer_query_compares_text(sites: list[Site], visits: list[Visit]) -> None:
    Customer.objects.create(tenant="a", name="/2")
    Customer.objects.create(tenant="a", name="/2 ")
    names = Customer.objects.filter(tenant="a").values("name")
    assert set(paths(Visit.objects.filter(path__in=names))) == {"/2"}


def test_a_single_value(sites: list[Site], visits: list[Visit]) -> None:
    last = Visitor.objects.order_by("-pk")
    assert Visitor.objects.get(pk=Subquery(last.values("pk")[:1])) == last[0]
    assert Visit.objects.filter(site=named("site 5").values("pk")[:1]).count() == 5
    assert Visit.objects.filter(site=named("nobody").values("pk")[:1]).count() == 0
    third = Visit.objects.filter(site=sites[1]).order_by("ms").values("ms")[2:3]
    assert Visit.objects.filter(ms__gt=third).count() == 24
    found = Visit.objects.annotate(top=Subquery(named("site 7").values("name"))).filter(site=sites[0])
    assert {visit.top for visit in found} == {"site 7"}
    missing = Visit.objects.annotate(top=Coalesce(Subquery(named("no").values("name")[:1]), F("path")))
    assert {visit.top for visit in missing} == {f"/{n}" for n in range(5)}


def test_a_single_value_in_a_list(sites: list[Site], visits: list[Visit]) -> None:
    rows = Visit.objects.annotate(name=Subquery(named("site 5").values("name")[:1]))
    assert rows.filter(name__in=["site 5", "x"]).count() == 60
    assert rows.filter(name__in=["x"]).count() == rows.filter(name__in=[]).count() == 0
    assert rows.exclude(name__in=["x"]).count() == 60


def test_several_rows_where_one_value_is_meant(visits: list[Visit]) -> None:
    with pytest.raises(QueryNotSupported, match=r"shop\.Site gives more than one row.*\[:1\]"):
        list(Visit.objects.annotate(name=Subquery(Site.objects.values("name"))))


def test_whether_there_is_a_row(visits: list[Visit]) -> None:
    assert Visit.objects.filter(Exists(named("site 1"))).count() == 60
    assert Visit.objects.filter(~Exists(named("site 1"))).count() == 0
    assert Visit.objects.filter(Exists(named("nobody"))).count() == 0
    assert {visit.known for visit in Visit.objects.annotate(known=Exists(named("site 1")))} == {True}


def test_rows_that_match_the_outer_one_elsewhere(sites: list[Site], visits: list[Visit]) -> None:
    tie = Exists(named("site 1", "site 2").filter(pk=OuterRef("site")))
    assert Visit.objects.filter(tie).count() == 10
    assert Visit.objects.filter(~tie).count() == 50
    editor = User.objects.create(username="x")
    Visit.objects.filter(pk=visits[0].pk).update(editor=editor)
    edited = Exists(User.objects.filter(pk=OuterRef("editor")))
    assert list(Visit.objects.filter(edited)) == [visits[0]]
    # EXISTS is false, not unknown, for a row without an editor.
    assert Visit.objects.filter(~edited).count() == 59
    by_name = Exists(Tag.objects.filter(name=OuterRef("path")))
    assert Visit.objects.filter(by_name).count() == 0
    Tag.objects.create(site=sites[3], name="/0")
    assert Visit.objects.filter(by_name).count() == 12


def test_an_annotation_that_nothing_uses_is_not_asked_for(sites: list[Site], visits: list[Visit]) -> None:
    on_another_site = Exists(Visit.objects.filter(path=OuterRef("path"), ms=0))
    queryset = Visit.objects.filter(site=sites[1].pk).annotate(n=Case(When(on_another_site, then=1), default=2))
    for ask in (
        lambda: queryset.exists(),
        lambda: list(queryset.values("path")),
        lambda: list(queryset.order_by("ms").values("path")),
    ):
        with capture_shards() as captured:
            assert ask()
        assert [len(plan.shards) for plan in captured] == [1]


@pytest.mark.parametrize(
    "ordered",
    [
        lambda queryset: queryset.order_by("-n", "path"),
        lambda queryset: queryset.order_by(F("n").desc(), "path"),
        lambda queryset: queryset.order_by((F("n") * 2).desc(), "path"),
        lambda queryset: queryset.order_by(Coalesce("n", 0).desc(), "path"),
        lambda queryset: queryset.order_by("n", "-path").reverse(),
        lambda queryset: queryset.order_by(Exists(Country.objects.filter(pk=OuterRef("n"))), "path"),
    ],
)
def test_an_annotation_that_only_the_order_names(sites: list[Site], visits: list[Visit], ordered: Any) -> None:
    slow = Exists(Visit.objects.filter(path=OuterRef("path"), ms__gte=2, site=sites[3].pk))
    fast = Country.objects.create(code="xx", name="fast").pk
    queryset = Visit.objects.filter(site=sites[1].pk).annotate(n=Case(When(slow, then=fast + 1), default=fast))
    assert list(ordered(queryset).values_list("path", flat=True)) == ["/2", "/3", "/4", "/0", "/1"]


def test_an_annotation_that_only_an_extra_order_names(visits: list[Visit]) -> None:
    Country.objects.create(code="xa", name="/1")
    Country.objects.create(code="xb", name="other")
    visited = Exists(Visit.objects.filter(path=OuterRef("name")))
    queryset = Country.objects.filter(code__in=["xa", "xb"]).annotate(n=visited).extra(order_by=["n"])
    assert list(queryset.values_list("code", flat=True)) == ["xb", "xa"]


def test_writes(sites: list[Site], visits: list[Visit]) -> None:
    assert Visit.objects.filter(site__in=named("site 2")).update(path="changed") == 5
    assert Visit.objects.filter(path="changed", site=sites[2]).count() == 5
    assert Visit.objects.filter(pk=visits[0].pk).update(path=Subquery(named("site 9").values("name"))) == 1
    assert Visit.objects.get(pk=visits[0].pk).path == "site 9"
    assert Visit.objects.filter(site__in=named("site 4", "site 5")).delete()[0] == 10
    assert Visit.objects.count() == 50
    assert Visit.objects.exclude(site__in=named("site 0")).delete()[0] == 45


def test_a_copied_row_named_through_itself_still_sees_all_shards(sites: list[Site], visits: list[Visit]) -> None:
    """The same row is on every shard, the rows beside it are not."""
    for number, site in enumerate(sites[:8]):
        country = Country.objects.create(code=f"{number}", name=f"country {number}")
        assert Visit.objects.filter(site=site, path="/1").update(country=country) == 1
    used = Country.objects.filter(visit__path="/1")
    twice = Country.objects.filter(pk__in=Country.objects.filter(pk__in=used))
    for again in (Country.objects.filter(pk__in=used), twice):
        assert again.count() == 9
        assert Visit.objects.filter(path="/1", country__in=again).count() == 12


def test_a_reference_model_by_sharded_rows(visits: list[Visit]) -> None:
    Country.objects.create(code="fr", name="France")
    used = Visit.objects.filter(ms=1).values("country")
    assert [country.code for country in Country.objects.filter(pk__in=used)] == ["de"]
    assert [country.code for country in Country.objects.exclude(pk__in=used)] == ["fr"]
    assert Country.objects.filter(Exists(Visit.objects.filter(country=OuterRef("pk")))).get().code == "de"
    assert Country.objects.filter(pk__in=used).update(name="changed") == 1
    for alias in get_group("track").primaries.values():
        assert set(Country._base_manager.using(alias).values_list("code", "name")) == {
            ("de", "changed"),
            ("fr", "France"),
        }


def test_steps_inside_a_query_that_is_pushed_down(sites: list[Site], visits: list[Visit]) -> None:
    visitors = Visitor.objects.filter(site__in=named("site 6"))
    text = Visit.objects.filter(visitor__in=visitors).explain()
    assert "of shop.Site from default" in text
    assert "of shop.Visitor" not in text
    assert Visit.objects.filter(visitor__in=visitors).count() == 5
    inside = Tag.objects.filter(site__in=named("site 6")).values("name")
    Tag.objects.create(site=sites[6], name="/4")
    assert Visit.objects.filter(path__in=inside).count() == 12


def test_steps_in_parts_of_a_union(sites: list[Site], visits: list[Visit]) -> None:
    left, right = (Visit.objects.filter(site=sites[0], path__in=Tag.objects.values("name")) for _ in range(2))
    Tag.objects.create(site=sites[3], name="/1")
    assert len(left.union(right)) == 1


def test_more_values_than_may_be_bound(visits: list[Visit], monkeypatch: pytest.MonkeyPatch) -> None:
    group = get_group("track")
    monkeypatch.setattr(group, "config", replace(group.config, max_keys=3))
    limit = r"shop\.Site \(default\).* 12 values.*MAX_KEYS = 3: narrow"
    with pytest.raises(KeyLimitExceeded, match=limit) as caught:
        list(Visit.objects.filter(site__in=Site.objects.all()))
    assert caught.value.count == 12
    assert Visit.objects.filter(site__in=named("site 1", "site 2", "site 3")).count() == 15


def test_many_values(visits: list[Visit]) -> None:
    Site.objects.bulk_create([Site(pk=n, name="many") for n in range(100_000, 109_000)])
    assert Visit.objects.filter(site__in=Site.objects.all()).count() == 60
    Customer.objects.bulk_create([Customer(tenant="a", name=f"/{n}") for n in range(2_000)])
    assert Visit.objects.filter(path__in=Customer.objects.filter(tenant="a").values("name")).count() == 60


def test_explain_shows_the_step_and_does_not_run_it(
    visits: list[Visit], django_assert_num_queries: Callable[..., Any]
) -> None:
    with django_assert_num_queries(0, using="default"), django_assert_num_queries(0, using="track"):
        lines = Visit.objects.filter(site__in=named("site 1")).explain().splitlines()
    assert lines[0] == "first: the values of shop.Site from default"
    assert lines[1] == "then, with these values:"
    assert lines[2] == "scatter select on track: track-1, track-2, track-3, track-4"


def test_values_of_another_type_are_not_bound(visits: list[Visit]) -> None:
    with pytest.raises(QueryNotSupported, match=r"shop\.Site"):
        list(Visit.objects.filter(path__in=Site.objects.values("pk")))


def test_a_correlated_subquery_is_refused_still(visits: list[Visit]) -> None:
    name = Subquery(Site.objects.filter(pk=OuterRef("site")).values("name"))
    with pytest.raises(QueryNotSupported, match=r"shop\.Site.*pass them as a list"):
        list(Visit.objects.annotate(name=name))


def test_no_values_inside_an_aggregate(visits: list[Visit]) -> None:
    """Django leaves out what is compared with an aggregate over nothing; in SQL, that aggregate is 0."""
    counted = Visitor.objects.values("pk").annotate(n=Count("pk", filter=Q(name__in=named("nobody").values("name"))))
    named_so = Case(When(n__gt=1, then=Value("many")), When(n=0, then=Value("none")), default=Value("one"))
    assert {row["n"] for row in counted} == {0}
    assert {row["kind"] for row in counted.annotate(kind=named_so)} == {"none"}
    assert len(counted.filter(n=0)) == 12


def test_no_values_in_an_either_or(sites: list[Site], visits: list[Visit]) -> None:
    """MySQL knows XOR, and Django then lets one side that always holds stand for both."""
    not_of_nobody = ~Q(site__in=named("nobody"))
    assert Visit.objects.filter(Q(ms=1) ^ not_of_nobody).count() == 48
    assert Visit.objects.filter(~(Q(ms=1) ^ not_of_nobody)).count() == 12
    assert Visit.objects.filter(Q(ms=1) ^ Q(site__in=named("nobody"))).count() == 12


def test_conditions_of_aggregates_over_rows(visits: list[Visit]) -> None:
    rows = Visit.objects.values("pk", "site").distinct()
    some = Count("pk", filter=Q(site__in=named("site 1", "site 2")))
    none = Count("pk", filter=Q(site__in=named("nobody")))
    assert rows.aggregate(some=some, none=none) == {"some": 10, "none": 0}


def test_a_value_that_can_never_be_leaves_its_condition_out(visits: list[Visit]) -> None:
    """Django sees that a subquery can never find anything; of one that finds nothing it knows nothing."""
    never, none = (Site.objects.filter(**found).values("pk")[:1] for found in ({"pk__in": []}, {"name": "nobody"}))
    Visit.objects.filter(pk=visits[0].pk).update(ms=None)
    assert Visit.objects.filter(~Q(ms__gte=never)).count() == 60
    assert Visit.objects.filter(~Q(ms__gte=none)).count() == 1
    assert not Visit.objects.filter(ms__gte=never).exists()
    shown = Visit.objects.annotate(site_no=Coalesce(Subquery(never), 0)).values_list("site_no", flat=True)
    assert set(shown) == {0}


@pytest.mark.parametrize(("condition", "left"), [({"site__name__in": []}, 60), ({"site__name": "nobody"}, 1)])
def test_a_value_that_a_far_condition_keeps_from_being(visits: list[Visit], condition: Any, left: int) -> None:
    """What can never hold is so as it was written, also where it is answered elsewhere first."""
    Visit.objects.filter(pk=visits[0].pk).update(ms=None)
    value = Visitor.objects.filter(**condition).order_by("pk").values("pk")[:1]
    assert Visit.objects.filter(~Q(ms__gte=value)).count() == left


def test_what_no_far_row_meets_is_counted_as_0(visits: list[Visit]) -> None:
    """Django groups all rows where a constant is all that they are grouped by: also no rows are one group."""
    nobody = Visit.objects.filter(site__in=named("nobody"))
    assert list(nobody.annotate(one=Value("a")).values("one").annotate(n=Count("pk"))) == [{"one": "a", "n": 0}]
    far = Visit.objects.filter(site__name="nobody")
    assert list(far.annotate(one=Value("a")).values("one").annotate(n=Count("pk"))) == [{"one": "a", "n": 0}]
    assert far.aggregate(n=Count("pk") + 1) == {"n": 1}
    assert list(far.values("path").annotate(n=Count("pk"))) == []


class Negated(IntegerField):
    def from_db_value(self, value: Any, *_: Any) -> Any:
        return None if value is None else -value

    def get_prep_value(self, value: Any) -> Any:
        return None if value is None else -int(value)


def test_values_that_are_stored_otherwise_are_not_listed(visits: list[Visit]) -> None:
    """One field reads them from there, another one would write them here."""
    negated = Visit.objects.annotate(negated=ExpressionWrapper(F("ms"), output_field=Negated()))
    assert negated.filter(negated__in=negated.values("negated")).count() == len(visits)
    assert negated.filter(ms=Subquery(negated.filter(ms=3).values("negated")[:1])).count() == 12
    for query in (negated.filter(ms__in=negated.values("negated")), negated.filter(negated__in=negated.values("ms"))):
        with pytest.raises(QueryNotSupported, match="pass them as a list"):
            query.exists()
    with pytest.raises(QueryNotSupported, match="no shard can join it"):
        list(Visit.objects.order_by(ExpressionWrapper(F("editor__is_active"), output_field=Negated())))


def test_a_value_that_can_never_be_is_not_null_to_a_condition(visits: list[Visit]) -> None:
    """Django leaves out what needs it, on one database as well."""
    never = Visit.objects.filter(Q(pk__in=[]) & Q(site__name="site 1")).order_by("pk").values("ms")[:1]
    held = Visit.objects.annotate(held=Subquery(never))
    assert {visit.held for visit in held} == {None}
    for condition in (Q(held__isnull=True), Q(held__isnull=False), Q(held=1)):
        assert held.filter(condition).count() == 0
    assert held.filter(Q(held__isnull=True) | Q(ms=1)).count() == 12
    assert held.values("held").annotate(n=Count("pk")).get() == {"held": None, "n": len(visits)}
