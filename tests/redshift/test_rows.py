"""Rows: what is written comes back, and queries have the results of any other Django database."""

from __future__ import annotations

import datetime as dt
import hashlib
import uuid
from decimal import Decimal

import pytest
from django import VERSION
from django.db import DataError, NotSupportedError, connection, models, transaction
from django.db.models import (
    Avg,
    BigIntegerField,
    CharField,
    Count,
    DurationField,
    ExpressionWrapper,
    F,
    IntegerField,
    Max,
    Q,
    Sum,
    Value,
)
from django.db.models.functions import (
    SHA1,
    SHA256,
    Cast,
    Concat,
    ExtractIsoWeekDay,
    ExtractIsoYear,
    ExtractSecond,
    JSONArray,
    JSONObject,
    Log,
    Now,
    Round,
    StrIndex,
    TruncDay,
    TruncHour,
    TruncMonth,
    TruncTime,
)

from tests.redshift.warehouse.models import Customer, Mark, Old, Vip, Visit

pytestmark = pytest.mark.django_db

NOON = dt.datetime(2026, 3, 1, 12, 30, 15, 250_000, tzinfo=dt.timezone.utc)
AWKWARD = 'a\'b\\c%d_é\n"e"'


def visit(customer, **values):
    return Visit.objects.create(customer=customer, at=values.pop("at", NOON), **values)


def test_a_row_comes_back_as_it_was_written(ann):
    values = {
        "day": dt.date(2026, 3, 1),
        "clock": dt.time(1, 2, 3, 4),
        "path": AWKWARD,
        "note": AWKWARD * 10,
        "length": dt.timedelta(days=-2, seconds=5, microseconds=7),
        "pages": 2**31 - 1,
        "share": 0.1,
        "paid": Decimal("12345678.90"),
        "seen": True,
        "token": uuid.UUID(int=7),
        "address": "2001:db8::1",
        "raw": bytes(range(256)),
        "data": {"a": [1, {"b": AWKWARD}], "n": None, "ü": 1.5},
    }
    stored = Visit.objects.get(pk=visit(ann, **values).pk)
    assert {name: getattr(stored, name) for name in values if name != "raw"} == {
        name: value for name, value in values.items() if name != "raw"
    }
    assert bytes(stored.raw) == values["raw"]
    assert stored.at == NOON


@pytest.mark.parametrize("name", ["path", "token", "address", "length", "paid", "day", "clock", "at", "seen"])
def test_a_row_is_found_by_each_of_its_values(ann, name):
    row = visit(
        ann, path=AWKWARD, address="192.0.2.1", length=dt.timedelta(1), paid=1, day=NOON.date(), clock=NOON.time()
    )
    visit(ann, at=NOON + dt.timedelta(1), path="other", seen=True, token=uuid.uuid4())
    row.refresh_from_db()
    assert Visit.objects.get(**{name: getattr(row, name)}) == row


def test_keys_are_made_here_and_rise():
    first = Customer.objects.create(name="a")
    many = Customer.objects.bulk_create([Customer(name=str(n)) for n in range(2000)])
    keys = [first.pk, *(row.pk for row in many)]
    assert keys == sorted(set(keys))
    assert not many[0]._state.adding
    assert set(Customer.objects.values_list("pk", flat=True)) == set(keys)


def test_a_key_that_is_given_stays():
    assert Customer.objects.create(pk=5, name="five").pk == 5
    assert Customer.objects.bulk_create([Customer(pk=6, name="six")])[0].pk == 6


def test_the_greatest_number_is_read_back_only_where_that_is_chosen():
    connection.settings_dict["OPTIONS"]["primary_keys"] = "max"
    try:
        first, second = (Customer.objects.create(name=name) for name in "ab")
    finally:
        del connection.settings_dict["OPTIONS"]["primary_keys"]
    assert second.pk == first.pk + 1
    assert Customer.objects.get(pk=second.pk).name == "b"


@pytest.mark.parametrize("lookup", ["contains", "icontains", "startswith", "endswith", "iexact", "exact"])
def test_text_lookups_escape_what_like_reads(ann, lookup):
    row = visit(ann, path=AWKWARD)
    visit(ann, path=AWKWARD.replace("%", "x").replace("_", "y"))
    assert list(Visit.objects.filter(**{f"path__{lookup}": AWKWARD})) == [row]
    assert Visit.objects.filter(**{f"path__{lookup}": F("path")}).earliest("pk") == row


def test_regular_expressions(ann):
    row = visit(ann, path="/Shop/42")
    assert Visit.objects.get(path__regex=r"^/Shop/\d+$") == row
    assert not Visit.objects.filter(path__regex=r"^/shop").exists()
    assert Visit.objects.get(path__iregex=r"^/shop") == row


def test_parts_of_dates(ann):
    for at, expected in [(dt.datetime(2027, 1, 3, 23, tzinfo=dt.timezone.utc), (7, 2026)), (NOON, (7, 2026))]:
        visit(ann, at=at)
        row = Visit.objects.filter(at=at).values_list(ExtractIsoWeekDay("at"), ExtractIsoYear("at")).get()
        assert row == expected
    assert Visit.objects.filter(at=NOON).values_list(ExtractSecond("at"), flat=True).get() == 15
    assert Visit.objects.filter(at__week_day=1, at__date=NOON.date(), at__hour=12).count() == 1


def test_truncated_moments(ann):
    visit(ann, clock=NOON.time(), day=NOON.date())
    row = Visit.objects.values_list(
        TruncDay("at"), TruncHour("at"), TruncMonth("day"), TruncTime("at"), TruncHour("clock")
    ).get()
    day = NOON.replace(hour=0, minute=0, second=0, microsecond=0)
    hour = NOON.replace(minute=0, second=0, microsecond=0)
    assert row == (day, hour, dt.date(2026, 3, 1), NOON.time(), hour.time())
    assert list(Visit.objects.dates("day", "month")) == [dt.date(2026, 3, 1)]
    assert list(Visit.objects.datetimes("at", "day")) == [day]


def test_durations(ann):
    length = dt.timedelta(days=400, microseconds=3)
    visit(ann, length=length)
    end = ExpressionWrapper(F("at") + F("length"), output_field=Visit._meta.get_field("at"))
    row = Visit.objects.annotate(end=end, back=F("at") - F("length")).annotate(diff=F("end") - F("at")).get()
    assert (row.end, row.back, row.diff) == (NOON + length, NOON - length, length)
    twice = ExpressionWrapper(F("length") * 2, output_field=DurationField())
    assert Visit.objects.annotate(twice=twice).get().twice == 2 * length
    assert Visit.objects.aggregate(Sum("length"), Avg("length")) == {"length__sum": length, "length__avg": length}
    Visit.objects.update(at=Now() - F("length"))
    assert Visit.objects.filter(at__lt=Now(), at__gt=Now() - 2 * length).count() == 1


@pytest.mark.parametrize("length", [dt.timedelta(microseconds=7), -dt.timedelta(microseconds=7), dt.timedelta(hours=5)])
def test_a_part_of_a_duration_is_rounded(ann, length):
    visit(ann, length=length, pages=4, share=0.7)
    for number, value in ((4, 4), (F("pages"), 4), (F("share"), 0.7), (0.7, 0.7), (2, 2)):
        parts = {"part": F("length") / number, "times": number * F("length")}
        rows = Visit.objects.annotate(**{k: ExpressionWrapper(v, DurationField()) for k, v in parts.items()})
        assert (rows.get().part, rows.get().times) == (length / value, length * value)


def test_the_sum_of_durations_is_added_to_a_moment(ann):
    """The hours, seconds and microseconds of it are whole numbers: the sum is a decimal, whose quotient is not."""
    for length in (dt.timedelta(hours=1, minutes=40), dt.timedelta(seconds=59, microseconds=999_999)):
        visit(ann, length=length)
    total = ExpressionWrapper(Value(NOON) + Sum("length"), models.DateTimeField())
    assert Visit.objects.aggregate(end=total)["end"] == NOON + dt.timedelta(minutes=101) - dt.timedelta(microseconds=1)


def test_decimals_are_cut_off_where_they_become_whole_numbers(ann):
    """As Redshift does (``enable_numeric_rounding`` is off): what is to be rounded has to say so."""
    visit(ann, paid=Decimal("2.75"), length=dt.timedelta(microseconds=7))
    whole = {"cut": Cast("paid", IntegerField()), "rounded": Cast(Round("paid"), BigIntegerField())}
    row = Visit.objects.annotate(**whole, minus=Cast(-F("paid"), IntegerField())).get()
    assert (row.cut, row.rounded, row.minus) == (2, 3, -2)
    Visit.objects.update(pages=F("paid"))
    assert Visit.objects.get().pages == 2


def test_averages_of_whole_numbers_have_their_fraction(ann):
    for pages in (1, 2):
        visit(ann, pages=pages)
    assert Visit.objects.aggregate(Avg("pages"))["pages__avg"] == 1.5


def test_rows_are_ordered_by_keys_of_json_that_the_query_makes(ann):
    Customer.objects.create(name="Bob")
    made = Customer.objects.annotate(made=JSONObject(a=JSONObject(b=F("name")), c=F("pk")))
    assert list(made.order_by("made__a__b").values_list("name", flat=True)) == ["Ann", "Bob"]
    assert list(made.order_by("-made__a__b").values_list("name", flat=True)) == ["Bob", "Ann"]
    assert [row.made["a"] for row in made.order_by("-made__a__b")] == [{"b": "Bob"}, {"b": "Ann"}]


def test_rows_are_ordered_by_elements_of_json_that_the_query_makes(ann):
    Customer.objects.create(name="Bob")
    made = Customer.objects.annotate(made=JSONArray(Value(1), JSONObject(b=F("name"))))
    assert list(made.order_by("-made__1__b").values_list("name", flat=True)) == ["Bob", "Ann"]


@pytest.mark.parametrize("key", ["made__x", "made__a__x", "made__0"])
def test_paths_into_other_expressions_are_refused(ann, key):
    made = Customer.objects.annotate(made=JSONObject(a="name"))
    with pytest.raises(NotSupportedError, match="columns of JSON"):
        list(made.order_by(key))
    with pytest.raises(NotSupportedError, match="columns of JSON"):
        list(made.filter(made__a="Ann"))


def test_exclusive_or(ann):
    visit(ann, pages=6)
    assert Visit.objects.annotate(x=F("pages").bitxor(3)).get().x == 5


def test_functions(ann):
    row = Customer.objects.annotate(
        both=Concat("name", Value("-"), "country", Value(None, output_field=Customer._meta.get_field("name"))),
        where=StrIndex("name", Value("n")),
        log=Log(2, 8),
        one=SHA1("name"),
        two=SHA256("name"),
    ).get()
    assert (row.both, row.where, round(row.log, 9)) == ("Ann-DE", 2, 3)
    assert row.one == hashlib.sha1(b"Ann").hexdigest()
    assert row.two == hashlib.sha256(b"Ann").hexdigest()


def test_paths_into_json(ann):
    row = visit(ann, data={"a": {"b": [10, {"c": "x"}]}, "n": None, "text": "One"})
    visit(ann, data={"a": 1})
    found = Visit.objects
    assert found.get(data__a__b__0=10) == row
    assert found.get(data__a__b__1__c="x") == row
    assert found.get(data__a__b__0__gt=9) == row
    assert found.get(data__n=None) == row
    assert found.get(data__has_key="n") == row
    assert found.get(data__has_keys=["a", "n"]) == row
    assert found.filter(data__has_any_keys=["n", "a"]).count() == 2
    assert found.get(data__text__icontains="on") == row
    assert found.get(data__n__isnull=False) == row
    assert found.get(data__text__in=["One", "Two"]) == row
    assert found.filter(data={"a": 1}).count() == 1
    assert found.order_by("pk").values_list("data__a__b", flat=True)[0] == [10, {"c": "x"}]


def test_joins_subqueries_and_groups(ann):
    bob = Customer.objects.create(name="Bob")
    for customer, pages in ((ann, 1), (ann, 2), (bob, 5)):
        visit(customer, pages=pages)
    counted = Customer.objects.annotate(n=Count("visit"), most=Max("visit__pages")).order_by("name")
    assert list(counted.values_list("name", "n", "most")) == [("Ann", 2, 2), ("Bob", 1, 5)]
    some = Customer.objects.annotate(n=Count("visit", filter=Q(visit__pages__gt=1))).order_by("name")
    assert list(some.values_list("n", flat=True)) == [1, 1]
    assert [row.customer.name for row in Visit.objects.select_related("customer").order_by("pages")] == [
        "Ann",
        "Ann",
        "Bob",
    ]
    assert list(Customer.objects.filter(pk__in=Visit.objects.filter(pages=5).values("customer"))) == [bob]
    assert ann.delete()[0] == 3
    assert Visit.objects.count() == 1


def test_a_nested_block_that_fails_spoils_the_outer_one():
    with pytest.raises(transaction.TransactionManagementError), transaction.atomic():
        with pytest.raises(DataError), transaction.atomic():
            Customer.objects.create(name="x" * 200)
        Customer.objects.create(name="fine")


def test_what_redshift_has_not_is_refused_before_it_is_sent():
    with pytest.raises(NotSupportedError, match="DISTINCT ON"):
        list(Customer.objects.distinct("name"))
    with pytest.raises(NotSupportedError):
        Customer.objects.bulk_create([Customer(name="a")], ignore_conflicts=True)


def test_text_is_limited_in_bytes_of_four_a_character():
    Customer.objects.create(name="🐘" * 40)
    with pytest.raises(DataError):
        Customer.objects.create(name="🐘" * 41)


def test_nul_is_refused():
    with pytest.raises((DataError, ValueError), match="NUL"):
        Customer.objects.create(name="a\x00b")


def test_an_ordering_that_is_a_sort_key(ann):
    for n in (1, 2):
        Old.objects.create(group=1, created=NOON + dt.timedelta(n))
    assert [row.created.day for row in Old.objects.all()] == [3, 2]


def test_rows_are_found_by_many_keys(ann):
    bob = Customer.objects.create(name="Bob")
    assert Customer.objects.in_bulk([ann.pk, bob.pk]) == {ann.pk: ann, bob.pk: bob}
    assert Customer.objects.filter(pk__in=range(ann.pk - 5000, ann.pk + 1)).count() == 1


@pytest.mark.skipif(VERSION < (6, 1), reason="Django 6.1 asks the features for it")
def test_a_number_of_parameters_that_the_driver_limits_is_kept(monkeypatch):
    fields = Visit._meta.concrete_fields[:2]
    assert connection.ops.bulk_batch_size(fields, [Visit()] * 40) == 40
    connection.features.__dict__.pop("max_query_params", None)
    monkeypatch.setattr(type(connection.features), "max_query_params", 10)
    assert connection.ops.bulk_batch_size(fields, [Visit()] * 40) == 5


def test_rows_are_written_in_statements_of_less_than_16_megabytes(ann, django_assert_num_queries):
    rows = [Visit(customer=ann, at=NOON, note="x" * 60_000) for _ in range(300)]
    with django_assert_num_queries(2):
        Visit.objects.bulk_create(rows)
    assert Visit.objects.count() == 300


def test_a_child_with_a_table_of_its_own_has_its_parents_key():
    vip = Vip.objects.create(name="Ann", level=3)
    assert vip.pk == vip.id == Customer.objects.get().pk
    assert Vip.objects.get().name == "Ann"


@pytest.mark.skipif(VERSION < (6,), reason="Django 6.0 reads such values when they are asked for")
def test_a_value_that_the_server_made_is_read_when_it_is_asked_for(ann, django_assert_num_queries):
    made = Visit(customer=ann, at=Now())
    made.save()
    with django_assert_num_queries(1):
        assert isinstance(made.at, dt.datetime)


def test_text_is_cast_to_so_many_characters_not_bytes(ann):
    Customer.objects.filter(pk=ann.pk).update(name="ééé")
    shorter = Customer.objects.annotate(short=Cast("name", CharField(max_length=2)))
    assert shorter.get().short == "éé"


def test_text_and_numbers_are_joined(ann):
    Mark.objects.create(about=str(ann.pk))
    assert Mark.objects.select_related("customer").get().customer == ann


def test_an_expression_that_writes_its_own_sql_is_asked(ann):
    class Later(Now):
        def as_sql(self, compiler, connection, **extra):
            return super().as_sql(compiler, connection, template="DATEADD(hour, 1, GETDATE())", **extra)

    assert "DATEADD(hour" in str(Customer.objects.annotate(at=Later()).query)


def test_what_is_left_of_a_union_can_be_sliced(ann):
    assert list(Customer.objects.difference(Customer.objects.none())[:1]) == [ann]
