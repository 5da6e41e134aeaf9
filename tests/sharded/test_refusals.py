"""Queries that have no right answer over shards are refused: what, why, what to write instead.

Each refusal has its twin on one shard, which is answered.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connections
from django.db.models import (
    Aggregate,
    Count,
    Exists,
    F,
    FloatField,
    Func,
    IntegerField,
    OuterRef,
    Subquery,
    Sum,
    Value,
    Window,
)
from django.db.models.expressions import RawSQL
from django.db.models.functions import Concat, Now, Random, Rank, RowNumber
from django.db.models.sql.constants import CURSOR
from django.db.models.sql.subqueries import UpdateQuery
from django.db.transaction import atomic

from horizon_shards import forbid_scatter
from horizon_shards.exceptions import HorizonShardsError, QueryNotSupported, ScatterForbidden
from tests.shop.models import Country, Customer, Order, Site, Tag, Visit, Visitor

pytestmark = pytest.mark.django_db(databases=["default", "track"])


class Median(Aggregate):
    """An aggregate of an application; on one shard it is only asked whether it would run."""

    function = "MAX"


def reading() -> Func:
    return Func(template="(SELECT MAX(ms) FROM shop_visit)", output_field=IntegerField())


def visits_of(site: Any) -> Any:
    """All visits, or those of a site."""
    return Visit.objects.all() if site is None else Visit.objects.filter(site=site)


def tags_of(site: Any) -> Any:
    """All tags, or those of a site."""
    return Tag.objects.all() if site is None else Tag.objects.filter(site=site)


#: Reason, words of the message (thing, then cure), and the query over all shards (None) or on one site's shard.
REFUSED: dict[str, tuple[str, tuple[str, ...], Callable[[Any], Any]]] = {
    "exists that two columns tie to the row": (
        "subquery",
        ("shop.Tag", "relate the inner query"),
        lambda site: list(
            visits_of(site).filter(Exists(tags_of(site).filter(name=OuterRef("path"), pk__gt=OuterRef("ms"))))
        ),
    ),
    "subquery as a column, of the row": (
        "subquery",
        ("shop.Tag", "pass them as a list"),
        lambda site: list(
            visits_of(site).annotate(tag=Subquery(tags_of(site).filter(name=OuterRef("path")).values("name")[:1]))
        ),
    ),
    "window over several shards": (
        "window",
        ("partition_by", "site"),
        lambda site: list(visits_of(site).annotate(place=Window(Rank(), order_by="ms"))),
    ),
    "window in parts without the key": (
        "window",
        ("partition_by", "filter by the key"),
        lambda site: list(visits_of(site).annotate(n=Window(RowNumber(), partition_by="path", order_by="ms"))),
    ),
    "groups of what a condition on a window leaves": (
        "window",
        ("group by the shard key", "filter by it"),
        lambda site: list(
            visits_of(site)
            .alias(place=Window(RowNumber(), partition_by="site", order_by="pk"))
            .filter(place=2)
            .values("path")
            .annotate(n=Count("pk"))
        ),
    ),
    "aggregate by another function": (
        "aggregate",
        ("function=AVG", "filter by the shard key"),
        lambda site: visits_of(site).aggregate(m=Sum("ms", function="AVG")),
    ),
    "function that reads": (
        "raw-sql",
        ("template", "using_shard("),
        lambda site: list(visits_of(site).annotate(m=reading()) if site is None else visits_of(site)),
    ),
    "aggregate that nothing here knows": (
        "aggregate",
        ("Median(", "filter by the shard key"),
        lambda site: visits_of(site).aggregate(m=Median("ms")),
    ),
    "subquery in the condition of groups": (
        "group-by",
        ("as a list",),
        lambda site: list(
            visits_of(site).values("path").annotate(n=Count("pk")).filter(n__in=Country.objects.values("pk"))
        ),
    ),
    "raw SQL in a condition": (
        "raw-sql",
        ("extra()", "using_shard("),
        lambda site: (
            list(visits_of(site).extra(where=["ms > 1"])) if site is None else list(visits_of(site).filter(ms__gt=1))
        ),
    ),
    "raw SQL as a column": (
        "raw-sql",
        ("RawSQL", "expressions"),
        lambda site: list(visits_of(site).annotate(x=RawSQL("1", ()) if site is None else Value(1))),
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_over_shards_and_answered_on_one(name: str, sites: list[Site], visits: list[Visit]) -> None:
    reason, words, ask = REFUSED[name]
    with pytest.raises(QueryNotSupported) as caught:
        ask(None)
    assert caught.value.reason == reason
    assert [word for word in words if word not in str(caught.value)] == []
    ask(sites[0])


def test_the_answers_on_one_shard_are_right(sites: list[Site], visits: list[Visit]) -> None:
    site = sites[0]
    Tag.objects.create(site=site, name="/2")
    assert REFUSED["exists that two columns tie to the row"][2](site) == [visits[2]]
    assert {visit.tag for visit in REFUSED["subquery as a column, of the row"][2](site)} == {"/2", None}
    assert sorted(visit.place for visit in REFUSED["window over several shards"][2](site)) == [1, 2, 3, 4, 5]


def test_a_refused_query_is_refused_before_it_runs(visits: list[Visit]) -> None:
    asked: list[str] = []

    def note(execute: Any, sql: str, *args: Any) -> Any:
        asked.append(sql)
        return execute(sql, *args)

    with connections["track"].execute_wrapper(note):
        for _, _, ask in REFUSED.values():
            with pytest.raises(QueryNotSupported):
                ask(None)
    assert asked == []


@pytest.mark.parametrize(
    ("ask", "relation"),
    [
        (lambda: list(Visit.objects.filter(path=F("site__name"))), "site"),
        (lambda: list(Visit.objects.filter(site=7).values("site__name").distinct()), "site"),
        (lambda: list(Visit.objects.filter(site=7).annotate(n=Concat("site__name", "path"))), "site"),
        (lambda: list(Visit.objects.values("editor__username").annotate(n=Count("pk"))), "editor"),
    ],
)
def test_a_join_that_leaves_the_group(visits: list[Visit], ask: Callable[[], Any], relation: str) -> None:
    with pytest.raises(QueryNotSupported, match=rf"shop\.Visit joins .* not on the same.*{relation}__in=") as caught:
        ask()
    assert caught.value.reason == "join-leaves-group"
    assert "prefetch_related(" in str(caught.value)


def test_the_cures_of_a_join_that_leaves_the_group(sites: list[Site], visits: list[Visit]) -> None:
    named = list(Site.objects.filter(name="site 3").values_list("pk", flat=True))
    assert Visit.objects.filter(site__in=named).count() == 5
    fetched = Visit.objects.filter(site=sites[0]).prefetch_related("site")
    assert {visit.site for visit in fetched} == {sites[0]}


def test_a_join_that_nothing_keeps_on_one_shard(visits: list[Visit]) -> None:
    with pytest.raises(QueryNotSupported, match=r"shop\.Country is copied.*the sharded shop\.Visit") as caught:
        list(Country.objects.annotate(n=Count("visit")))
    assert caught.value.reason == "outer-join-from-reference"
    assert "Query shop.Visit instead" in str(caught.value)
    # An inner join finds each sharded row on its own shard.
    assert list(Country.objects.filter(visit__ms=1).values_list("code", flat=True).distinct()) == ["de"]


def test_models_that_live_elsewhere_are_not_asked_here(visits: list[Visit]) -> None:
    for model in (Site, User, Customer):
        with pytest.raises(QueryNotSupported, match=rf"{model._meta.label} does not live in 'track'") as caught:
            list(model.objects.using("track"))
        assert caught.value.reason == "foreign-model"
        assert "class Sharding" in str(caught.value)
    with pytest.raises(QueryNotSupported, match=r"shop.Site does not live in 'track'"), atomic(using="track"):
        Site.objects.using("track").create(name="x")


def test_the_key_and_the_id_are_not_updated(sites: list[Site], visits: list[Visit]) -> None:
    own = Visit.objects.filter(site=sites[0])
    changes: list[tuple[dict[str, Any], str]] = [
        ({"site": sites[1]}, "move_row"),
        ({"site": F("ms")}, "move_row"),
        ({"id": 7}, "cannot be updated"),
    ]
    for change, cure in changes:
        with pytest.raises(QueryNotSupported, match=cure) as caught, atomic(using="track"):
            own.update(**change)
        assert caught.value.reason == "shard-key-update"
        assert f"shop.Visit.{next(iter(change))}" in str(caught.value)
    assert own.update(site=sites[0].pk, ms=F("ms") + 1) == 5
    assert own.update(site=sites[0]) == 5


def test_a_reference_model_takes_no_value_that_each_shard_makes_anew(visits: list[Visit]) -> None:
    inner = Country.objects.filter(name__lt=Now()).values("pk")
    for write, match in (
        (lambda: Country.objects.update(name=Random()), r"Random\(\).*shop\.Country.*timezone\.now\(\)"),
        (lambda: Country.objects.alias(r=Random()).filter(r__lt=0.5).update(name="x"), r"Random\(\)"),
        (lambda: Country.objects.filter(pk__in=inner).update(name="x"), r"Now\(\)"),
    ):
        with pytest.raises(QueryNotSupported, match=match) as caught, atomic(using="track"):
            write()
        assert caught.value.reason == "volatile"


def test_a_scatter_that_is_forbidden(sites: list[Site], visits: list[Visit]) -> None:
    with forbid_scatter(), pytest.raises(ScatterForbidden) as caught:
        list(Visitor.objects.all())
    assert caught.value.reason == "scatter-forbidden"
    with forbid_scatter():
        assert len(Visitor.objects.filter(site=sites[0])) == 1


def test_refusals_are_djangos_own_kind_of_error() -> None:
    from django.db import NotSupportedError

    assert issubclass(QueryNotSupported, NotSupportedError)
    assert issubclass(QueryNotSupported, HorizonShardsError)


def test_ratio_of_floats_and_orders_stay_answered(visits: list[Visit]) -> None:
    """Near to what is refused, and yet answered."""
    assert Visit.objects.aggregate(total=Sum("ratio", output_field=FloatField()))["total"] == 30.0
    assert len(Visit.objects.annotate(n=Window(RowNumber(), partition_by="site", order_by="ms")).filter(ms=4)) == 12
    assert Visit.objects.filter(visitor__in=Visitor.objects.filter(name__startswith="visitor")).count() == 60
    assert len(Visit.objects.values("site", "path").annotate(n=Count("pk"))) == 60
    assert Order.objects.filter(account__email="x").count() == 0


def test_a_parent_table_is_not_updated_through_its_child(visits: list[Visit]) -> None:
    """What ``update()`` makes of an inherited column, where the check for such models was silenced."""
    query: Any = Visit.objects.filter(site=visits[0].site_id).query.chain(UpdateQuery)
    query.add_related_update(Visitor, Visitor._meta.get_field("name"), "changed")
    with pytest.raises(QueryNotSupported, match="E210"):
        query.get_compiler("track").execute_sql(CURSOR)
