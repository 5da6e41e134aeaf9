"""Federation: what no shard can answer is answered by a private database, within a limit, and never silently."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connections
from django.db.models import Count, Exists, F, OuterRef, Subquery, Sum, Window
from django.db.models.expressions import RawSQL
from django.db.models.functions import JSONObject, RowNumber
from django.db.transaction import atomic
from django.test.utils import CaptureQueriesContext

from horizon_shards import allow_federation, allow_scatter, forbid_scatter
from horizon_shards.exceptions import FederationWarning, QueryNotSupported, RowLimitExceeded, ScatterForbidden
from horizon_shards.signals import query_federated
from horizon_shards.testing import capture_shards
from tests.listening import heard
from tests.settings import ENGINE
from tests.shop.models import Account, Basket, Country, Order, Site, Tag, Visit, Visitor

pytestmark = pytest.mark.django_db(databases=["default", "track"])
plain_texts = pytest.mark.skipif(ENGINE == "mysql", reason="MySQL compares texts by its own sort keys")


@pytest.fixture(autouse=True)
def federation() -> Iterator[None]:
    with allow_federation(10_000):
        yield


@pytest.fixture
def tags(visits: list[Visit]) -> list[Tag]:
    """Tags named as paths of visits, of other sites than most of these."""
    sites = [visit.site for visit in visits[::5]]
    return [Tag.objects.create(site=site, name=f"/{n % 3}") for n, site in enumerate(sites)]


def told() -> AbstractContextManager[list[tuple[Any, dict[str, int]]]]:
    """The plans and row counts of the queries that were federated in the block."""
    return heard(query_federated, "plan", "rows")


def paths(queryset: Any) -> list[str]:
    return sorted(queryset.values_list("path", flat=True))


def named_tags() -> Any:
    """Tags that two comparisons tie to a visit: with one alone, they would be asked first."""
    return Tag.objects.filter(name=OuterRef("path"), pk__gt=OuterRef("ms"))


def test_a_subquery_over_other_keys(visits: list[Visit], tags: list[Tag]) -> None:
    found = Visit.objects.filter(Exists(named_tags().filter(name__in=["/0", "/1"])))
    assert paths(found) == ["/0"] * 12 + ["/1"] * 12


def test_a_correlated_subquery(visits: list[Visit], tags: list[Tag]) -> None:
    assert paths(Visit.objects.filter(Exists(named_tags()))) == sorted(["/0", "/1", "/2"] * 12)
    assert paths(Visit.objects.filter(~Exists(named_tags()))) == sorted(["/3", "/4"] * 12)


@plain_texts
def test_rows_are_instances_of_the_logical_database(visits: list[Visit], tags: list[Tag]) -> None:
    rows = Visit.objects.annotate(tag=Subquery(named_tags().order_by("pk").values("pk")[:1])).order_by("site", "path")
    expected = {(tag.site_id, tag.name): tag.pk for tag in tags}
    first = {name: min(pk for (_, n), pk in expected.items() if n == name) for name in ("/0", "/1", "/2")}
    assert [(row.pk, row.tag) for row in rows] == [(visit.pk, first.get(visit.path)) for visit in visits]
    assert {row._state.db for row in rows} == {"track"}
    assert (rows[3].price, rows[3].token, rows[3].extra) == (visits[3].price, visits[3].token, visits[3].extra)


@plain_texts
def test_a_window_over_all_rows(visits: list[Visit]) -> None:
    numbered = Visit.objects.annotate(place=Window(RowNumber(), order_by=[F("path").desc(), F("pk").asc()]))
    in_order = sorted(sorted(visits, key=lambda v: v.pk), key=lambda v: v.path, reverse=True)
    assert [row.pk for row in numbered.order_by("place")] == [visit.pk for visit in in_order]
    assert [row.pk for row in numbered.filter(place__lte=2).order_by("place")] == [v.pk for v in in_order[:2]]


@pytest.mark.sqlite_only
def test_json_that_is_computed(visits: list[Visit], tags: list[Tag]) -> None:
    found = Visit.objects.filter(Exists(named_tags())).annotate(made=JSONObject(milliseconds="ms"))
    assert {visit.made["milliseconds"] for visit in found} == {visit.ms for visit in found}


def test_a_set_operation_over_shards(visits: list[Visit], tags: list[Tag]) -> None:
    names = Visit.objects.values_list("path").difference(Tag.objects.values_list("name"))
    assert sorted(names) == [("/3",), ("/4",)]


@plain_texts
def test_aggregates_over_a_federated_query(visits: list[Visit], tags: list[Tag]) -> None:
    tagged = Visit.objects.filter(Exists(named_tags()))
    assert tagged.count() == 36
    assert tagged.exists()
    assert tagged.aggregate(total=Sum("ms"), paths=Count("path", distinct=True)) == {"total": 36, "paths": 3}
    groups = Visit.objects.values("path").annotate(n=Count("pk")).aggregate(total=Sum("n"), groups=Count("n"))
    assert groups == {"total": 60, "groups": 5}


@plain_texts
def test_only_columns_that_are_read_and_rows_that_count_are_gathered(visits: list[Visit], tags: list[Tag]) -> None:
    query = Visit.objects.filter(path="/0").filter(Exists(named_tags().filter(name="/0")))
    with told() as seen, CaptureQueriesContext(connections["track"]) as queries:
        assert query.values_list("ms", flat=True).count() == 12
    ((plan, rows),) = seen
    assert rows == {"shop_tag": 4, "shop_visit": 12}
    assert (plan.mode, plan.model) == ("federate", "shop.Visit")
    gathered = " ".join(query["sql"] for query in queries if "shop_visit" in query["sql"])
    assert '"path"' in gathered
    assert '"price"' not in gathered


def test_a_condition_on_the_key_is_asked_of_one_shard(visits: list[Visit], tags: list[Tag]) -> None:
    mapping = connections["track"].group.mapping
    here = mapping.resolve(visits[0].site_id)
    elsewhere = next(tag for tag in tags if mapping.resolve(tag.site_id) != here)
    inner = Exists(named_tags().filter(site=elsewhere.site))
    with told() as seen, capture_shards() as queries:
        assert paths(Visit.objects.filter(inner, site=visits[0].site)) == [elsewhere.name]
    assert seen[0][1] == {"shop_tag": 1, "shop_visit": 5}
    assert {len(query.shards) for query in queries} == {1}
    with told() as seen:
        assert paths(Visit.objects.filter(inner, ms__lt=4)) == [elsewhere.name] * 12
    assert seen[0][1] == {"shop_tag": 1, "shop_visit": 48}


def test_rows_missing_from_an_outer_join_are_not_made_up(visits: list[Visit], tags: list[Tag]) -> None:
    """A condition on the side that may be missing is no condition on the rows to gather."""
    baskets = [Basket.objects.create(site=tag.site) for tag in tags[:2]]
    baskets[0].tags.add(tags[0])
    without = Basket.objects.filter(tags__name=None).order_by("pk")
    assert list(without) == [baskets[1]]
    assert list(Basket.objects.filter(tags__name="/0")) == [baskets[0]]


def test_an_empty_part_leaves_its_condition_to_itself(visits: list[Visit]) -> None:
    none = Visit.objects.filter(pk__in=[], ms=1)
    assert len(Visit.objects.values_list("pk").union(none.values_list("pk"))) == 60
    assert len(Visit.objects.values_list("pk").difference(none.values_list("pk"))) == 60
    every = Visit.objects.order_by("pk")
    assert len(every) == len(every.all().order_by().union(Visit.objects.filter(pk__in=[]))) == 60
    joined = Visitor.objects.filter(name__in=Visit.objects.filter(visitor__name="x", pk__in=[]).values("path"))
    assert Visitor.objects.exclude(pk__in=joined).count() == 12


def test_ids_that_shards_number_for_themselves_are_not_read(visits: list[Visit], tags: list[Tag]) -> None:
    baskets = [Basket.objects.create(site=tag.site) for tag in tags]
    for basket, tag in zip(baskets, tags, strict=True):
        basket.tags.add(tag)
    through = Basket.tags.through
    named = Visit.objects.filter(ms=0, path=OuterRef("tag__name"), pk__gt=OuterRef("tag__site"))
    assert through.objects.filter(Exists(named)).count() == 4
    with pytest.raises(QueryNotSupported):
        list(through.objects.filter(Exists(named)).values_list("pk"))


def test_reference_models_and_models_of_other_databases(visits: list[Visit]) -> None:
    editor = User.objects.create(username="ed")
    Visit.objects.filter(path="/1").update(editor=editor)
    Country.objects.create(code="/2", name="two")
    other = Visitor.objects.values("name")[:1]
    assert Visit.objects.filter(editor__username="ed").count() == 12
    query = Visit.objects.filter(country__code="de", path__in=Country.objects.values("code")).exclude(path__in=other)
    assert paths(query) == ["/2"] * 12


def test_rows_of_an_open_transaction_are_seen(visits: list[Visit]) -> None:
    with atomic("track"):
        Tag.objects.create(site=visits[0].site, name="/4")
        assert Visit.objects.filter(path__in=Tag.objects.values("name")).count() == 12


def test_update_and_delete_find_their_keys_first(visits: list[Visit], tags: list[Tag]) -> None:
    assert Visit.objects.filter(Exists(named_tags())).update(ms=F("ms") + 100) == 36
    assert sorted(Visit.objects.values_list("ms", flat=True)) == sorted([100, 101, 102, 3, 4] * 12)
    assert Visit.objects.filter(path__in=Tag.objects.filter(name="/0").values("name")).delete() == (
        12,
        {"shop.Visit": 12},
    )
    assert Visit.objects.count() == 48
    assert Visit.objects.filter(path__in=Tag.objects.filter(name="/9").values("name")).update(ms=0) == 0


def test_a_reference_model_is_updated_by_its_keys(visits: list[Visit]) -> None:
    Country.objects.create(code="fr", name="France")
    used = Country.objects.filter(pk__in=Visit.objects.values("country"))
    assert used.update(name="visited") == 1
    for shard in connections["track"].group.primaries.values():
        assert sorted(Country.objects.using(shard).values_list("code", "name")) == [("de", "visited"), ("fr", "France")]


def test_an_update_to_a_value_of_other_rows_is_refused(visits: list[Visit], tags: list[Tag]) -> None:
    with pytest.raises(QueryNotSupported):
        Visit.objects.filter(Exists(named_tags())).update(path=Subquery(named_tags().values("name")[:1]))


def test_the_limit_names_the_table_and_the_count(visits: list[Visit], tags: list[Tag]) -> None:
    query = Visit.objects.filter(Exists(named_tags()))
    with allow_federation(71), pytest.raises(RowLimitExceeded, match=r"60 rows of shop_visit after 12 of shop_tag"):
        list(query)
    with allow_federation(72):
        assert query.count() == 36


def test_off_is_the_default_and_the_refusal_names_the_cure(visits: list[Visit], tags: list[Tag]) -> None:
    query = Visit.objects.filter(Exists(named_tags()))
    with allow_federation(0), pytest.raises(QueryNotSupported, match="turn federation on"):
        list(query)
    with allow_federation(0), pytest.raises(QueryNotSupported, match="turn federation on"):
        query.update(ms=1)
    assert connections["track"].group.config.federation_max_rows == 0


NEVER: dict[str, Callable[[], Any]] = {
    "raw SQL": lambda: list(Visit.objects.annotate(one=RawSQL("1", ())).filter(Exists(named_tags()))),
    "raw SQL inside": lambda: list(Visit.objects.filter(path__in=Tag.objects.extra(where=["1"]).values("name"))),
    "a union with related rows of another database": lambda: list(
        Visit.objects.select_related("visitor__site").union(Visit.objects.select_related("visitor__site").filter(ms=1))
    ),
    "a lock": lambda: list(Visit.objects.filter(Exists(named_tags())).select_for_update()),
}


@pytest.mark.parametrize("name", NEVER)
def test_never_federated(name: str, visits: list[Visit]) -> None:
    with told() as seen, atomic("track"), pytest.raises(QueryNotSupported) as refused:
        NEVER[name]()
    assert seen == []
    assert "turn federation on" not in str(refused.value)


def test_the_scatter_policy_holds(visits: list[Visit]) -> None:
    query = Visit.objects.filter(Exists(named_tags()))
    with forbid_scatter(), pytest.raises(ScatterForbidden):
        list(query)


def test_a_warning_names_the_line(visits: list[Visit], monkeypatch: pytest.MonkeyPatch) -> None:
    group = connections["track"].group
    monkeypatch.setattr(group, "config", replace(group.config, scatter="warn"))
    with pytest.warns(FederationWarning, match=r"60 of shop_visit") as caught:
        list(Visit.objects.filter(Exists(named_tags())))
    assert [warning.filename for warning in caught] == [__file__]
    with allow_scatter():
        list(Visit.objects.filter(Exists(named_tags())))


@plain_texts
def test_explain_gathers_nothing(visits: list[Visit], tags: list[Tag]) -> None:
    with told() as seen, capture_shards() as queries:
        text = Visit.objects.filter(ms=3).filter(Exists(named_tags())).explain()
    assert text.startswith("federate select on track: track-1, track-2, track-3, track-4\n")
    assert "gather the rows that meet its conditions of shop_visit" in text
    assert "gather all rows of shop_tag (id, name) from track" in text
    assert "shop_visit" in str(Visit.objects.filter(Exists(named_tags())).query)
    assert not seen
    assert not queries


def test_the_private_database_is_gone_afterwards(visits: list[Visit]) -> None:
    list(Visit.objects.filter(Exists(named_tags())))
    assert "federation" not in [connection.alias for connection in connections.all(initialized_only=True)]


def test_orders_of_accounts_that_are_not_named(db: None) -> None:
    accounts = [Account.objects.create(email=f"{n}@x") for n in range(6)]
    for account in accounts:
        Order.objects.create(account=account, amount=1)
    richest = Order.objects.values("amount").annotate(n=Count("account")).order_by()
    assert list(richest) == [{"amount": 1, "n": 6}]
    sites = Site.objects.create(name="0@x")
    assert Account.objects.filter(email__in=[sites.name]).count() == 1
