"""A logical database whose shards are Redshift databases: the answers are those of one with all rows."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
from django.db import connections
from django.db.models import Avg, Count, F, Max, Min, Sum

from horizon_shards import plan, using_shard
from horizon_shards.testing import assert_no_redistribution, assert_shards
from tests.redshift.fleet.models import Article, Line, Order

pytestmark = pytest.mark.django_db(databases="__all__")

NOON = dt.datetime(2026, 3, 1, 12, tzinfo=dt.timezone.utc)


@pytest.fixture
def orders():
    """Three orders for each of eight shops, with two lines each."""
    pens, ink = Article(id=1, name="pens"), Article(id=2, name="ink")
    Article.objects.bulk_create([pens, ink])
    made = [
        Order(
            shop=shop,
            at=NOON + dt.timedelta(hours=n * shop),
            paid=Decimal(shop) + Decimal(n) / 4,
            note=f"{'bBéa'[n]}{shop}",
            data={"n": n},
        )
        for shop in range(8)
        for n in range(3)
    ]
    Order.objects.bulk_create(made)
    Line.objects.bulk_create(
        [Line(order=order, article=article, count=order.shop + 1) for order in made for article in (pens, ink)]
    )
    return made


def test_rows_are_on_both_shards_and_each_shop_on_one(orders):
    counts = [Order.objects.using(f"fleet_{n}").count() for n in (1, 2)]
    assert sum(counts) == 24
    assert all(counts)
    with assert_shards(1):
        assert Order.objects.filter(shop=3).count() == 3


def test_one_row_is_written_read_changed_and_deleted(orders):
    order = Order.objects.create(shop=3, at=NOON, paid=1)
    order.paid = Decimal("2.5")
    order.save()
    with assert_shards(1):
        assert Order.objects.get(shop=3, pk=order.pk).paid == Decimal("2.5")
        order.delete()
    assert not Order.objects.filter(pk=order.pk).exists()


def test_ordered_and_sliced(orders):
    expected = sorted(orders, key=lambda order: (order.note, order.pk), reverse=True)
    assert [*Order.objects.order_by("-note", "-pk")[2:9]] == expected[2:9]
    assert [*Order.objects.order_by("at", "pk").values_list("shop", flat=True)] == [
        order.shop for order in sorted(orders, key=lambda order: (order.at, order.pk))
    ]


def test_aggregates(orders):
    paid = [order.paid for order in orders]
    found = Order.objects.aggregate(Count("pk"), Sum("paid"), Min("note"), Max("at"), Avg("paid"))
    assert found["pk__count"] == 24
    assert found["paid__sum"] == sum(paid)
    assert found["note__min"] == "B0"
    assert found["at__max"] == max(order.at for order in orders)
    assert found["paid__avg"] == pytest.approx(sum(paid) / 24)
    assert Line.objects.aggregate(mean=Avg("count"))["mean"] == 4.5


def test_groups(orders):
    by_article = Line.objects.values("article__name").annotate(n=Sum("count")).order_by("article__name")
    assert [*by_article] == [{"article__name": "ink", "n": 108}, {"article__name": "pens", "n": 108}]
    by_shop = Line.objects.values("shop").annotate(n=Count("pk")).filter(n__gt=1).order_by("-shop")
    assert [row["shop"] for row in by_shop] == [*range(7, -1, -1)]


def test_joins_stay_on_their_shard_and_on_their_node(orders):
    lines = Line.objects.filter(order__note__startswith="b", article__name="ink").select_related("order", "article")
    assert sorted(line.order.shop for line in lines) == [*range(8)]
    with assert_shards(1):
        assert Line.objects.filter(shop=3, order__paid__gte=3).count() == 6
    assert_no_redistribution(lines.using("fleet_1"))
    assert_no_redistribution(lines)


def test_updates_and_deletes_on_all_shards(orders):
    assert Order.objects.filter(note__startswith="b").update(paid=F("paid") + 1) == 8
    assert Order.objects.filter(note__startswith="b").aggregate(Sum("paid"))["paid__sum"] == 28 + 8
    deleted, by_model = Order.objects.filter(shop__lt=4).delete()
    assert (deleted, by_model["fleet.Line"]) == (36, 24)
    assert Line.objects.count() == 24


def test_paths_into_json(orders):
    assert Order.objects.filter(data__n=2).count() == 8


def test_the_plan_names_the_shards(orders):
    assert plan(Order.objects.filter(shop=3)).mode == "single"
    assert len(plan(Order.objects.all()).shards) == 2
    with using_shard("fleet-1", database="fleet"), connections["fleet"].cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM fleet_order")
        assert cursor.fetchone()[0] == Order.objects.using("fleet_1").count()


def test_blanks_at_the_end_of_a_text_do_not_count_between_shards(db):
    first, second = (
        next(n for n in range(50) if plan(Order.objects.filter(shop=n)).shards == (shard,))
        for shard in ("fleet-1", "fleet-2")
    )
    for shop, note in ((first, "x"), (second, "x  ")):
        Order.objects.create(shop=shop, at=NOON, paid=1, note=note)
    assert [row["n"] for row in Order.objects.values("note").annotate(n=Count("pk"))] == [2]
    assert Order.objects.values("note").distinct().count() == 1
