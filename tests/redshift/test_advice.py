"""What the advisor finds: in models, in querysets, in the database; and what it has nothing to say about."""

from __future__ import annotations

import datetime as dt
import json
from io import StringIO

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import NotSupportedError, connection
from django.db.models import Exists, OuterRef
from django.db.models.functions import TruncDay

from horizon_shards.backends.redshift.advice import (
    advise_database,
    advise_models,
    advise_queryset,
    redistributions,
    watch,
)
from horizon_shards.testing import assert_no_redistribution
from tests.redshift.warehouse.models import Basket, BasketLine, Customer, Declared, Incoming, Mark, Old, Visit

pytestmark = pytest.mark.django_db(databases="__all__")

NOON = dt.datetime(2026, 3, 1, 12, tzinfo=dt.timezone.utc)


def on(alias, queryset):
    return queryset.using(alias)


COLOCATED = {
    "one table": lambda: Visit.objects.filter(pages=1),
    "both columns": lambda: BasketLine.objects.select_related("basket"),
    "both columns backwards": lambda: Basket.objects.filter(lines__label="x"),
    "a table on all nodes": lambda: Visit.objects.filter(customer__name="Ann").select_related("customer"),
    "two steps": lambda: BasketLine.objects.filter(basket__customer__name="Ann"),
    "a subquery by the key": lambda: Visit.objects.filter(customer_id__in=Basket.objects.values("customer_id")),
    "nothing": lambda: BasketLine.objects.none(),
    "one that exists": lambda: Basket.objects.filter(
        Exists(BasketLine.objects.filter(customer=OuterRef("customer"), basket_no=OuterRef("pk")))
    ),
}
MOVED = {
    "by the number alone": lambda: BasketLine.objects.select_related("loose"),
    "by the number alone, filtered": lambda: BasketLine.objects.filter(loose__at=NOON),
    "backwards": lambda: Basket.objects.filter(loose_lines__label="x"),
    "a subquery by another column": lambda: Visit.objects.filter(pages__in=Basket.objects.values("customer_id")),
    "inside a subquery": lambda: Visit.objects.filter(
        customer_id__in=BasketLine.objects.filter(loose__at=NOON).values("customer_id")
    ),
    "in one arm of a union": lambda: Basket.objects.values("id").union(
        BasketLine.objects.filter(loose__at=NOON).values("id")
    ),
}


@pytest.mark.parametrize("alias", ["default", "elsewhere"])
@pytest.mark.parametrize("name", COLOCATED)
def test_joins_by_the_distribution_key_stay_on_their_node(name, alias):
    assert_no_redistribution(on(alias, COLOCATED[name]()))


@pytest.mark.parametrize("alias", ["default", "elsewhere"])
@pytest.mark.parametrize("name", MOVED)
def test_other_joins_move_rows(name, alias):
    with pytest.raises(AssertionError, match="joins would move rows"):
        assert_no_redistribution(on(alias, MOVED[name]()))


def test_an_existing_row_by_another_column_moves_rows():
    found = Basket.objects.filter(Exists(BasketLine.objects.filter(basket_no=OuterRef("pk"))))
    assert [finding.rule for finding in redistributions(found.using("elsewhere"))] == ["DS_DIST_BOTH"]


def test_explain_and_models_say_the_same_of_a_join():
    found = redistributions(BasketLine.objects.filter(loose__at=NOON))
    assert [finding.rule for finding in found] == ["DS_DIST_BOTH", "DS_BCAST_INNER"]
    assert "CompositeForeignKey" in str(found[0])
    assert 'Hash Cond: ("outer".loose_id = "inner".id)' in str(found[1])


def test_the_plan_has_a_line_for_each_join():
    plan = BasketLine.objects.select_related("basket", "customer").explain()
    assert plan.count("XN Hash") == 2
    assert "DS_DIST_NONE" in plan
    assert "DS_DIST_ALL_NONE" in plan
    assert "DS_" not in Visit.objects.all().explain()


@pytest.mark.parametrize(
    ("condition", "label"),
    [
        ('l."customer_id" = b."customer_id" AND l."basket_no" = b."id"', "DS_DIST_NONE"),
        ('l."basket_no" = b."customer_id"', "DS_DIST_INNER"),
        ('l."basket_no" = b."id"', "DS_BCAST_INNER"),
        ('l."customer_id" = b."customer_id" OR l."basket_no" = b."id"', "DS_BCAST_INNER"),
    ],
)
def test_the_label_of_a_join_is_that_of_its_condition(condition, label):
    with connection.cursor() as cursor:
        cursor.execute(
            f'EXPLAIN SELECT 1 FROM "warehouse_basketline" l INNER JOIN "warehouse_basket" b ON ({condition})'
        )
        assert f"XN Hash Join {label} " in cursor.fetchone()[0]


def test_conditions_that_read_everything():
    days = Visit.objects.annotate(on=TruncDay("at")).filter(on=NOON, path__icontains="x")
    assert {finding.rule for finding in advise_queryset(days)} == {"function-on-sortkey", "scan"}
    assert advise_queryset(Visit.objects.filter(at__gte=NOON, path="x")) == []


def rules(*models):
    return {(finding.rule, finding.subject) for finding in advise_models(models)}


def test_models():
    assert rules(Basket, Customer) == set()
    assert rules(BasketLine) == {
        ("composite", "warehouse.BasketLine.loose"),
        ("wide", "warehouse.BasketLine.label"),
    }
    assert rules(Mark) == {("no-distkey", "warehouse.Mark"), ("no-sortkey", "warehouse.Mark")}
    assert rules(Old, Incoming) == set()


def test_what_the_database_says():
    assert advise_database("default", [Visit, Declared]) == []
    ann = Customer.objects.create(name="Ann")
    Declared.objects.bulk_create([Declared(code="a", customer=ann)] * 2)
    with connection.cursor() as cursor:
        measured = "INSERT INTO rs.measured VALUES ('warehouse_visit'::regclass, 7, 30, 50)"
        cursor.cursor.plainly(measured, None)
        cursor.execute(
            "INSERT INTO stl_alert_event_log (event, solution, event_time) "
            "VALUES ('Missing statistics', 'Run the ANALYZE command', GETDATE())"
        )
    found = advise_database("default", [Visit, Declared])
    assert [(finding.rule, finding.subject) for finding in found] == [
        ("skew", "warehouse_visit"),
        ("stats", "warehouse_visit"),
        ("unsorted", "warehouse_visit"),
        ("alert", "stl_alert_event_log"),
        ("duplicates", "warehouse.Declared"),
        ("duplicates", "warehouse.Declared"),
        ("duplicates", "warehouse.Declared"),
    ]
    assert "code='a'" in found[-2].message
    with pytest.raises(NotSupportedError, match="elsewhere"):
        advise_database("elsewhere", [Visit])


def test_rows_that_are_written_one_by_one():
    with watch(allowed=2) as findings:
        for name in "abc":
            Customer.objects.create(name=name)
        Incoming.objects.create(name="a")
        Visit.objects.bulk_create([Visit(customer_id=1, at=NOON)] * 5)
    assert [(finding.rule, finding.subject) for finding in findings] == [("row-by-row", "warehouse_customer")]


def said(*arguments):
    out = StringIO()
    call_command("redshift_advise", *arguments, stdout=out)
    return out.getvalue()


def test_the_command_writes_text_and_json():
    assert "warehouse.BasketLine.loose: composite: Both tables" in said("warehouse")
    lines = [json.loads(line) for line in said("warehouse.BasketLine", "--live", "--json").splitlines()]
    assert {line["rule"] for line in lines} == {"composite", "wide"}
    assert set(lines[0]) == {"rule", "subject", "message", "cure"}
    assert said("warehouse.Basket") == "Nothing to say about 1 models.\n"
    assert "horizon_shards.W411" in said("warehouse.Declared", "--database", "default")
    with pytest.raises(CommandError, match="nothing"):
        said("nothing")
