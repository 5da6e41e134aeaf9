"""The same work by Django's PostgreSQL backend and by ours: the check refuses much of theirs, nothing of ours."""

from __future__ import annotations

import datetime as dt
import os
import uuid

import pytest
from django.db import connection, connections, models, transaction
from django.db.models import Avg, Count, F, Max, Q, RowRange, Sum, Window
from django.db.models.functions import ExtractIsoWeekDay, Lower, Now, TruncDay
from django.db.models.sql import InsertQuery
from django.db.utils import ConnectionHandler

from horizon_shards.testing.redshift import check_sql
from tests.redshift.warehouse.models import Customer, Old, Visit

pytestmark = pytest.mark.django_db(transaction=True)

NOON = dt.datetime(2026, 3, 1, 12, tzinfo=dt.timezone.utc)


@pytest.fixture
def stock():
    """Django's own PostgreSQL backend on the server of the tests; nothing is sent to it but what is asked here."""
    settings = {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "postgres",
        "HOST": os.environ.get("REDSHIFT_HOST", "127.0.0.1"),
        "USER": os.environ.get("REDSHIFT_USER", "postgres"),
        "PASSWORD": os.environ.get("REDSHIFT_PASSWORD", ""),
        "PORT": os.environ.get("REDSHIFT_PORT", ""),
    }
    made = ConnectionHandler({"default": settings})["default"]
    made.set_autocommit(False)
    yield made
    made.rollback()
    made.close()


def rows():
    return [
        Visit(pk=n, customer_id=1, at=NOON, path=f"/{n}", token=uuid.uuid4(), length=dt.timedelta(1), raw=b"x", data={})
        for n in (1, 2)
    ]


def queries():
    visits = Visit.objects.order_by("pk")
    days = visits.annotate(on=TruncDay("at"))
    return {
        "all": visits.all(),
        "by time": visits.filter(at__gte=NOON),
        "text": visits.filter(path__icontains="a_%"),
        "another column": visits.filter(path__contains=F("note")),
        "regex": visits.filter(path__iregex="a"),
        "json": visits.filter(data__a__b=1),
        "json key": visits.filter(data__has_key="a"),
        "duration": visits.filter(at__lt=Now() - F("length")),
        "token": visits.filter(token=uuid.UUID(int=7)),
        "address": visits.filter(address="10.0.0.1"),
        "address text": visits.filter(address__startswith="10."),
        "now": visits.filter(at__lt=Now()),
        "bytes": visits.filter(raw=b"x"),
        "iso day": visits.annotate(day_of=ExtractIsoWeekDay("at")),
        "day": days.values("on").annotate(n=Count("pk")).order_by("on"),
        "filtered": visits.values("path").annotate(n=Count("pk", filter=Q(pages=1))).order_by("path"),
        "window": visits.annotate(so_far=Window(Sum("pages"), order_by="pk")),
        "frame": visits.annotate(near=Window(Sum("pages"), order_by="pk", frame=RowRange(-1, 0))),
        "locked": visits.select_for_update(),
        "joined": visits.select_related("customer").filter(customer__name="x"),
        "subquery": visits.filter(customer__in=Customer.objects.filter(name="x")),
        "mean": visits.values("path").annotate(mean=Avg("pages")).order_by("path"),
        "last": visits.values("customer").annotate(last=Max("at")).order_by("customer"),
        "lower": visits.annotate(low=Lower("path")),
        "union": visits.values("pk").union(Old.objects.order_by().values("pk")),
    }


def statements(of):
    """What a backend would send for the same work: tables, rows, queries, changes, transactions."""
    with of.schema_editor(collect_sql=True) as editor:
        for model in (Customer, Visit, Old):
            editor.create_model(model)
        number = models.IntegerField(default=1)
        number.set_attributes_from_name("number")
        editor.add_field(Customer, number)
        wide = models.CharField(max_length=60)
        wide.set_attributes_from_name("name")
        wide.model = Customer
        editor.alter_field(Customer, Customer._meta.get_field("name"), wide)
    yield from (line for line in editor.collected_sql if not line.startswith("--"))
    for model, objects in ((Visit, rows()), (Customer, [Customer(name="x")])):
        insert = InsertQuery(model)
        insert.insert_values(
            [field for field in model._meta.local_concrete_fields if objects[0].pk or not field.primary_key], objects
        )
        compiler = insert.get_compiler(connection=of)
        compiler.returning_fields = [model._meta.pk] if of.features.can_return_columns_from_insert else None
        yield from (written(of, *sql) for sql in compiler.as_sql())
    for queryset in queries().values():
        yield written(of, *queryset.query.get_compiler(connection=of).as_sql())
    yield from of.ops.sql_flush(
        _Plain(), ["warehouse_visit", "warehouse_customer"], reset_sequences=True, allow_cascade=True
    )
    if of.features.uses_savepoints:
        yield from (
            of.ops.savepoint_create_sql("s"),
            of.ops.savepoint_commit_sql("s"),
            of.ops.savepoint_rollback_sql("s"),
        )
    yield f"{of.ops.explain_query_prefix()} SELECT 1"


def written(of, sql, params):
    with of.cursor() as cursor:
        text = cursor.cursor.mogrify(sql, params)
    return text if isinstance(text, str) else text.decode()


class _Plain:
    def __getattr__(self, name):
        return str


def test_the_check_refuses_much_of_postgresql_and_nothing_of_ours(stock):
    theirs = {sql: check_sql(sql.rstrip(";")) for sql in statements(stock)}
    with transaction.atomic():
        ours = {sql: check_sql(sql.rstrip(";")) for sql in statements(connections["default"])}
    assert {sql: refusals for sql, refusals in ours.items() if refusals} == {}
    share = sum(bool(refusals) for refusals in theirs.values()) / len(theirs)
    assert 0.4 <= share <= 0.8, f"{share:.0%} of {len(theirs)}"
    rules = {refusal.rule for refusals in theirs.values() for refusal in refusals}
    assert {"returning", "index", "savepoint", "type", "for-update", "json-operator", "window-frame"} <= rules
    assert connection.vendor == "redshift"
