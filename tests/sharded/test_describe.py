"""``horizon_shards.plan()``: shards, SQL of each step, merge and reason, without a query."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from django.db import connections
from django.db.models import Count, Exists, OuterRef, Subquery
from django.test.utils import CaptureQueriesContext

import horizon_shards
from horizon_shards import allow_federation, forbid_scatter
from horizon_shards.exceptions import ConfigurationError, QueryNotSupported
from horizon_shards.testing import capture_shards
from tests.settings import ENGINE
from tests.shop.models import Country, Site, Tag, Visit

pytestmark = pytest.mark.django_db(databases=["default", "track"])
SHARDS = ("track-1", "track-2", "track-3", "track-4")


def two_ties() -> Exists:
    """What no shard can answer, and no query that runs first: two comparisons tie the rows to a visit."""
    return Exists(Tag.objects.filter(name=OuterRef("path"), pk__gt=OuterRef("ms")))


@pytest.fixture(autouse=True)
def nothing_runs(visits: list[Visit]) -> Iterator[None]:
    """No plan of this module reads a table, or tells that a shard is asked; a server may be asked for its collation."""
    with capture_shards() as planned, CaptureQueriesContext(connections["track"]) as queries:
        yield
    assert not planned
    assert [query["sql"] for query in queries if "shop_" in query["sql"]] == []


def test_one_shard(sites: list[Site]) -> None:
    plan = horizon_shards.plan(Visit.objects.filter(site=sites[0]).order_by("ms"))
    assert (plan.mode, plan.shards) == ("single", (connections["track"].group.mapping.resolve(sites[0].pk),))
    (statement,) = plan.statements
    assert statement.where == plan.shards
    assert statement.params == (sites[0].pk,)
    assert "WHERE" in statement.sql


def test_several_shards() -> None:
    plan = horizon_shards.plan(Visit.objects.order_by("-ms")[5:10])
    assert (plan.mode, plan.shards) == ("scatter", SHARDS)
    assert plan.merge.steps == ("in order of 1 term(s), streaming", "rows 5 to 10")
    (statement,) = plan.statements
    assert (statement.where, statement.sql.endswith("LIMIT 10")) == (SHARDS, True)
    assert str(plan).splitlines()[-1] == f"  on {', '.join(SHARDS)}: {statement.sql}"


def test_groups() -> None:
    plan = horizon_shards.plan(Visit.objects.values("path").annotate(n=Count("pk")).filter(n__gt=1).order_by("path"))
    assert plan.merge.steps[1:] == ("HAVING", "sorted")
    assert "GROUP BY" in plan.statements[0].sql


def test_a_reference_model_and_nothing() -> None:
    assert horizon_shards.plan(Country.objects.all()).shards == ("track-1",)
    nothing = horizon_shards.plan(Visit.objects.filter(pk__in=[]))
    assert (nothing.mode, nothing.statements) == ("none", ())


def test_a_set_operation_has_a_statement_a_part() -> None:
    plan = horizon_shards.plan(Visit.objects.values("path").union(Tag.objects.values("name")))
    assert ["shop_visit" in plan.statements[0].sql, "shop_tag" in plan.statements[1].sql] == [True, True]
    assert plan.mode == "scatter"


def test_a_query_that_another_needs_comes_first() -> None:
    plan = horizon_shards.plan(Visit.objects.filter(path__in=Tag.objects.values("name"), ms=1))
    first, then = plan.statements
    assert (first.where, then.where, plan.mode) == (SHARDS, SHARDS, "scatter")
    assert ("shop_tag" in first.sql, "shop_tag" in then.sql) == (True, False)
    assert set(map(str, then.params)) == {"the values of another query", "1"}
    assert plan.merge.steps[0] == "first: the values of shop.Tag from track"


def test_one_value_that_comes_first() -> None:
    named = Visit.objects.annotate(first=Subquery(Tag.objects.order_by("pk").values("name")[:1]))
    first, then = horizon_shards.plan(named).statements
    assert "LIMIT 1" in first.sql
    assert list(map(str, then.params)) == ["the values of another query"]


def test_a_lock_is_planned_without_its_transaction(sites: list[Site]) -> None:
    assert horizon_shards.plan(Visit.objects.select_for_update().order_by("ms")).mode == "scatter"


@pytest.mark.skipif(ENGINE != "sqlite", reason="shards that are not SQLite are not federated")
def test_what_federation_would_gather() -> None:
    query = Visit.objects.filter(two_ties(), editor__username="ed", ms=1)
    with allow_federation(10), forbid_scatter():
        plan = horizon_shards.plan(query)
    assert plan.mode == "federate"
    assert [statement.where for statement in plan.statements] == [
        ("default",),
        SHARDS,
        SHARDS,
        ("the private database",),
    ]
    assert "auth_user" in plan.statements[0].sql
    assert 1 in plan.statements[2].params
    assert "gather the rows that meet its conditions of shop_visit" in str(plan)


def test_refusals_are_raised_as_by_running() -> None:
    with pytest.raises(QueryNotSupported):
        horizon_shards.plan(Visit.objects.filter(two_ties()))
    with pytest.raises(ConfigurationError, match="is not a logical database"):
        horizon_shards.plan(User.objects.all())
