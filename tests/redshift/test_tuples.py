"""Composite keys that are compared with subqueries."""

from __future__ import annotations

import pytest
from django.db import NotSupportedError
from django.db.models import Count, OuterRef

from tests.redshift.warehouse.models import Pair

pytestmark = pytest.mark.django_db


@pytest.fixture
def pairs():
    return [Pair.objects.create(a=a, b=b, rank=rank) for a, b, rank in ((1, 1, 7), (1, 2, 9), (2, 1, 9), (2, 2, 8))]


def found(**lookups):
    return list(Pair.objects.filter(**lookups).order_by("a", "b"))


def test_a_key_is_compared_with_values(pairs):
    assert found(pk=(1, 2)) == [pairs[1]]
    assert found(pk__in=[(1, 2), (2, 2)]) == [pairs[1], pairs[3]]


def test_a_key_is_compared_with_the_one_row_of_a_subquery(pairs):
    assert found(pk=Pair.objects.order_by("-rank", "a")[:1]) == [pairs[1]]
    assert found(pk=Pair.objects.order_by("rank").values("a", "b")[1:2]) == [pairs[3]]


def test_the_columns_are_those_of_one_row_also_where_the_order_leaves_rows_equal(pairs):
    """With an order of its own for each column, 1 and 1 would be found: the least of both in rows of rank 9."""
    (one,) = found(pk=Pair.objects.filter(rank=9).order_by("rank")[:1])
    assert one in (pairs[1], pairs[2])


def test_the_order_of_the_model_counts(pairs):
    assert Pair._meta.ordering == ["-rank", "-a"]
    assert found(pk=Pair.objects.all()[:1]) == [pairs[2]]


def test_a_key_is_compared_with_a_row_that_the_outer_one_chooses(pairs):
    same_rank = Pair.objects.filter(rank=OuterRef("rank")).order_by("a").values("pk")[:1]
    assert found(pk=same_rank) == [pairs[0], pairs[1], pairs[3]]


def test_what_is_unknown_is_not_another(pairs):
    """As SQL has it: nothing equals the row of an empty subquery, and nothing differs from it."""
    nobody = Pair.objects.filter(rank=0).order_by("rank")[:1]
    assert found(pk=nobody) == []
    assert list(Pair.objects.exclude(pk=nobody)) == []
    assert list(Pair.objects.exclude(pk=Pair.objects.order_by("rank")[:1]).order_by("a", "b")) == pairs[1:]


def test_the_first_rows_of_a_subquery_are_read_before_they_are_compared(pairs):
    firsts = Pair.objects.order_by("rank")
    assert found(pk__in=firsts.values("a", "b")[:2]) == [pairs[0], pairs[3]]
    assert found(pk__in=firsts.values("pk")[1:3]) != [pairs[0], pairs[3]]
    assert found(pk__in=firsts.values("rank", "b")[:2]) == []
    assert list(Pair.objects.exclude(pk__in=firsts.values("a", "b")[:2]).order_by("a")) == [pairs[1], pairs[2]]


def test_subqueries_without_a_slice(pairs):
    assert found(pk__in=Pair.objects.filter(rank=9).values("a", "b")) == [pairs[1], pairs[2]]
    inner = Pair.objects.filter(rank=OuterRef("rank"), a=2).values("a", "b")
    assert found(pk__in=inner) == [pairs[2], pairs[3]]


@pytest.mark.parametrize(
    "rows",
    [
        lambda: Pair.objects.values("a", "b").distinct()[:1],
        lambda: Pair.objects.annotate(n=Count("rank")).values("a", "b")[:1],
        lambda: Pair.objects.values("a", "b").union(Pair.objects.values("a", "b"))[:1],
    ],
)
def test_other_subqueries_are_refused_with_the_cure(rows):
    with pytest.raises(NotSupportedError, match="use __in"):
        found(pk=rows())


def test_the_first_rows_that_the_outer_one_chooses_are_refused():
    firsts = Pair.objects.filter(rank=OuterRef("rank")).values("a", "b")[:2]
    with pytest.raises(NotSupportedError, match="leave out the slice"):
        found(pk__in=firsts)
