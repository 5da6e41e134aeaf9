"""Federated answers are those of the engine itself: the same rows, all on one shard, asked there and federated."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection as default_connection
from django.db import connections
from django.db.models import (
    Case,
    Count,
    DecimalField,
    Exists,
    F,
    IntegerField,
    Max,
    OuterRef,
    Q,
    Subquery,
    Sum,
    Value,
    When,
    Window,
)
from django.db.models.functions import Coalesce, Concat, DenseRank, Length, Lower, RowNumber, TruncMonth

from horizon_shards import allow_federation, plan, using_shard
from horizon_shards.exceptions import QueryNotSupported
from horizon_shards.topology import get_group
from tests.changed_databases import databases
from tests.settings import ENGINE
from tests.shop.models import Site, Tag, Tagging, Visit, Visitor

pytestmark = pytest.mark.django_db(databases=["default", "track"])
TEXTS = ["a", "A", "a ", "ä", "b", "ss", "ß", "", "a\u00a0", "9"]
DAY = datetime.datetime(2026, 3, 1, 23, 30, tzinfo=datetime.timezone.utc)


@pytest.fixture
def shard(db: None) -> Iterator[str]:
    """Rows of sites that are all on this shard; federation is on."""
    mapping = connections["track"].group.mapping
    made = [Site.objects.create(name=f"site {n}") for n in range(40)]
    shard = mapping.resolve(made[0].pk)
    _fill([site for site in made if mapping.resolve(site.pk) == shard][:3])
    with allow_federation(10_000):
        yield shard


def _fill(sites: list[Site]) -> None:
    for number, text in enumerate(TEXTS):
        site = sites[number % len(sites)]
        nick = None if number % 3 else text
        visitor = Visitor.objects.create(site=site, name=text, nick=nick, joined=DAY.date())
        visit = Visit.objects.create(
            site=site, visitor=visitor, path=TEXTS[-number], ms=None if number == 4 else number % 4,
            price=Decimal("0.10") * number, ratio=number / 3, bot=number % 2 == 0, extra={"n": number},
            at=None if number == 2 else DAY + datetime.timedelta(minutes=number, microseconds=number % 2),
            took=datetime.timedelta(seconds=number),
        )  # fmt: skip
        tag = Tag.objects.create(site=site, name=TEXTS[number - 3])
        if number % 2:
            Tagging.objects.create(site=site, visit=visit, tag=tag)


def tags(**conditions: Any) -> Any:
    """Tags that two comparisons tie to a visit, neither of which is by the key."""
    return Tag.objects.filter(name=OuterRef("path"), pk__gt=OuterRef("ms"), **conditions)


def visits(**conditions: Any) -> Any:
    """Other visits that only a comparison of numbers ties to a visit."""
    return Visit.objects.filter(ms__gt=OuterRef("ms"), **conditions)


#: What every engine answers.
ANSWERED: dict[str, Callable[[], Any]] = {
    "texts of two tables": lambda: Visit.objects.filter(Exists(tags())).values("pk", "path"),
    "texts among others": lambda: Visit.objects.filter(
        path__in=Tag.objects.filter(pk__gt=OuterRef("ms")).values("name")
    ).values("pk", "path"),
    "texts not among others": lambda: Visit.objects.exclude(
        visitor__nick__in=Visitor.objects.filter(name="a", pk__gt=OuterRef("ms")).values("name")
    ).values("pk"),
    "a text beside": lambda: Visit.objects.filter(Exists(tags()), path="a").values("pk", "path"),
    "texts that may not be": lambda: Visit.objects.filter(~Exists(tags(name__in=["a", "b"]))).values("pk"),
    "LIKE": lambda: Visit.objects.filter(Exists(visits(path__icontains="A"))).values("pk"),
    "LIKE of the row": lambda: Visit.objects.filter(Exists(visits()), path__startswith="A").values("pk"),
    "whole rows": lambda: Visit.objects.filter(Exists(visits())),
    "whole rows with others": lambda: Visit.objects.filter(Exists(visits())).select_related("visitor", "country"),
    "decimals and functions": lambda: Visit.objects.filter(Exists(visits(price__gt="0.15"))).values(
        "pk", "price", "ratio", "extra", "took", "token", double=F("price") * 2, name=Lower("path"), n=Length("path")
    ),
    "a division": lambda: Visit.objects.filter(Exists(visits(ratio__gt=F("ms") / 2))).values("pk"),
    "datetimes": lambda: Visit.objects.filter(Exists(Visit.objects.filter(at__lt=OuterRef("at"), ms__gt=0))).values(
        "at", "took", month=TruncMonth("at")
    ),
    "a day": lambda: Visit.objects.filter(Exists(visits(at__day=1, at__hour__gte=23))).values("pk"),
    "the value of another row": lambda: Visit.objects.annotate(
        other=Subquery(visits().order_by("-ms", "pk").values("path")[:1]),
        price_of_it=Subquery(visits().order_by("-ms", "pk").values("price")[:1]),
    ).values("pk", "other", "price_of_it"),
    "a window": lambda: Visit.objects.annotate(
        n=Window(RowNumber(), order_by=[F("ms").desc(), F("pk").asc()]),
        rank=Window(DenseRank(), partition_by=["bot"], order_by=["ms"]),
    ).values("n", "rank", "path"),
    "NULLs first and last": lambda: Visit.objects.annotate(n=Window(RowNumber(), order_by=[F("at").asc()])).order_by(
        "at", "pk"
    ).values("pk", "n"),
    "groups of numbers": lambda: Visit.objects.filter(Exists(visits())).values("ms", "bot").annotate(
        n=Count("pk"), total=Sum("ms"), last=Max("at"), named=Count("pk", filter=Q(path="a"))
    ).order_by("ms", "bot"),
    "HAVING": lambda: Visit.objects.filter(Exists(visits())).values("ms").annotate(n=Count("pk")).filter(n__gt=1),
    "rows counted": lambda: Visitor.objects.filter(
        Exists(Visit.objects.filter(ms__gt=OuterRef("pk") - OuterRef("pk")))
    ).annotate(n=Count("visits")).values("name", "n"),
    "rows that are missing": lambda: Visit.objects.filter(Exists(visits())).values(
        "pk", "tagging__tag__name", lower=Lower("tagging__tag__name")
    ),
    "conditions on rows that are missing": lambda: Visit.objects.filter(Exists(visits())).filter(
        Q(tagging__tag__name="a") | Q(tagging=None)
    ).values("pk"),
    "DISTINCT numbers": lambda: Visit.objects.filter(Exists(visits())).values("ms", "bot").distinct(),
    "a choice": lambda: Visit.objects.filter(Exists(visits())).annotate(
        kind=Case(When(path="a", then=1), When(visitor__name="b", then=2), default=3)
    ).values("pk", "kind"),
}  # fmt: skip


def _answers(queryset: Any) -> list[Any]:
    rows = [row if isinstance(row, dict) else _of(row) for row in queryset.all()]
    return rows if queryset.query.order_by else sorted(rows, key=repr)


def _of(instance: Any) -> dict[str, Any]:
    return {field.name: getattr(instance, field.attname) for field in instance._meta.fields}


@pytest.mark.parametrize("name", ANSWERED)
def test_the_answer_is_the_engines_own(name: str, shard: str) -> None:
    queryset = ANSWERED[name]()
    assert plan(queryset).mode == "federate"
    with using_shard(shard):
        expected = _answers(ANSWERED[name]())
    assert _answers(queryset) == expected
    assert expected
    assert queryset.count() == len(expected)


#: What compares by a rule of a server's that SQLite does not have, with what the error names.
OWN_RULES: dict[str, tuple[Callable[[], Any], str, set[str]]] = {
    "order of texts": (lambda: Visit.objects.filter(Exists(visits())).order_by("path"), "ordering", {"mysql"}),
    "groups of texts": (
        lambda: Visit.objects.filter(Exists(visits())).values("path").annotate(n=Count("pk")).order_by(), "GROUP BY",
        {"mysql"},
    ),
    "distinct texts": (lambda: Visit.objects.filter(Exists(visits())).values("path").distinct(), "DISTINCT", {"mysql"}),
    "the largest text": (
        lambda: Visit.objects.filter(Exists(visits())).values("ms").annotate(m=Max("path")).order_by(), "an aggregate",
        {"mysql"},
    ),
    "decimals added": (
        lambda: Visit.objects.filter(Exists(visits())).values("ms").annotate(t=Sum("price")).order_by(),
        "an aggregate", {"mysql", "postgresql"},
    ),
    "decimals compared": (
        lambda: Visit.objects.filter(Exists(Visit.objects.filter(price__gt=OuterRef("price"), ms__gt=0))),
        "a comparison", {"mysql", "postgresql"},
    ),
    "computed of two tables": (
        lambda: Visit.objects.filter(Exists(visits())).annotate(t=F("ms") / F("visitor__site_id")), "an expression",
        {"mysql", "postgresql"},
    ),
    "a text of two tables": (
        lambda: Visit.objects.filter(Exists(visits())).annotate(t=Concat("path", "visitor__name")), "an expression",
        {"mysql", "postgresql"},
    ),
    "what stands for a missing row": (
        lambda: Visit.objects.filter(Exists(visits())).annotate(t=Coalesce("tagging__tag__name", Value("-"))),
        "computed of several tables", {"mysql"},
    ),
    "a type that is another": (
        lambda: Visit.objects.filter(Exists(visits())).annotate(
            t=Case(When(visitor__name="a", then=F("price")), default=F("ms"), output_field=IntegerField())
        ),
        "computed of several tables", {"mysql", "postgresql"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", OWN_RULES)
def test_rules_that_sqlite_does_not_share(name: str, shard: str) -> None:
    make, what, engines = OWN_RULES[name]
    if ENGINE not in engines and ENGINE != "postgresql":
        pytest.skip(f"{default_connection.vendor} shares it")
    if ENGINE not in engines:
        with using_shard(shard):
            expected = [repr(row) for row in make()]
        assert sorted(repr(row) for row in make()) == sorted(expected)
        return
    with pytest.raises(QueryNotSupported, match=what) as refused:
        list(make())
    assert refused.value.reason == "federation-engine"
    assert "Federation cannot help" in str(refused.value)


@pytest.mark.skipif(ENGINE == "sqlite", reason="SQLite divides integers as the private database does")
def test_a_number_that_is_not_whole_is_not_cut(shard: str) -> None:
    """MySQL divides integers to decimals, and adds those; PostgreSQL cuts."""
    query = Visit.objects.filter(Exists(visits())).values("bot").annotate(total=Sum(F("ms") / 2)).order_by("bot")
    if ENGINE == "mysql":
        with pytest.raises(QueryNotSupported, match="whole number"):
            list(query)
        return
    found = list(query)
    with using_shard(shard):
        assert found == list(query.all())


def test_update_and_delete(shard: str) -> None:
    query = Visit.objects.filter(Exists(tags()))
    with using_shard(shard):
        expected = query.count()
    assert 0 < expected < 10
    assert query.update(price=Value(Decimal("7.25"), output_field=DecimalField())) == expected
    assert Visit.objects.filter(price="7.25").count() == expected
    assert query.delete()[1]["shop.Visit"] == expected


@pytest.mark.django_db(databases=["default", "track"], transaction=True)
def test_shards_in_another_time_zone() -> None:
    """Columns are converted from the zone of their database; what is computed of them is not compared."""
    shards = get_group("track").primaries.values()
    connections["track"].close()
    with databases(**{alias: {**connections.settings[alias], "TIME_ZONE": "Asia/Tokyo"} for alias in shards}):
        site = Site.objects.create(name="x")
        _fill([site])
        asked = Visit.objects.filter(Exists(Visit.objects.filter(at__lt=OuterRef("at"), ms__gt=0)))
        queries = (lambda: asked.values("pk", "at").order_by("at"), lambda: asked.values("pk", month=TruncMonth("at")))
        with allow_federation(1_000):
            # MySQL may lack the tables of time zones, by which it truncates.
            for query in queries[: 1 if ENGINE == "mysql" else 2]:
                with using_shard(get_group("track").mapping.resolve(site.pk)):
                    expected = _answers(query())
                assert _answers(query()) == expected
                assert expected
            if ENGINE != "sqlite":
                with pytest.raises(QueryNotSupported, match="TruncMonth"):
                    list(asked.annotate(month=TruncMonth("at")).order_by("month"))
        connections["track"].close()
