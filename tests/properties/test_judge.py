"""The judge: what one database leaves open is not compared, and nothing else is let pass."""

from __future__ import annotations

import pytest
from django.db import connections

from tests.properties.judge import _compare
from tests.properties.outcome import SHARDS_SIDE, Outcome
from tests.properties.tree import Query, Step, Terminal
from tests.settings import ENGINE

pytestmark = pytest.mark.django_db(databases=["default", "oracle"])
of_mysql = pytest.mark.skipif(ENGINE != "mysql", reason="rules of MySQL and MariaDB")


def visits(wrap: str, *calls: str) -> Query:
    return Query("Visit", tuple(Step(call) for call in calls), (), (), False, None, Terminal("any", wrap))


def verdict(query: Query, expected: object, found: object) -> str:
    return _compare(query, Outcome(expected), Outcome(found), SHARDS_SIDE)[0]


@of_mysql
def test_any_of_equal_texts_is_the_biggest_of_a_window() -> None:
    biggest = visits("list({})", 'annotate(w=Window(Max("path")))', 'values_list("w", flat=True)')
    assert verdict(biggest, ["a"], ["A"]) == "same"
    assert verdict(biggest, ["a"], ["b"]) == "different"
    paths = visits("list({})", 'values_list("path", flat=True)')
    assert verdict(paths, ["a"], ["A"]) == "different"


@of_mysql
def test_texts_in_no_order_are_not_compared_where_they_are_cut() -> None:
    texts = visits('pieces({}.aggregate(a=StringAgg("path", Value("|"))))')
    in_order = visits('{}.aggregate(a=StringAgg("path", Value("|"), order_by="id"))')
    with connections["oracle"].cursor() as cursor:
        cursor.execute("SET SESSION group_concat_max_len = 10")
        try:
            assert verdict(texts, {"a": ["abc", "defghi"]}, {"a": ["x"]}) == "no right answer"
            assert verdict(texts, {"a": ["abc", "d"]}, {"a": ["x"]}) == "different"
            assert verdict(in_order, {"a": "abc|defghi"}, {"a": "x"}) == "different"
        finally:
            cursor.execute("SET SESSION group_concat_max_len = DEFAULT")


def test_places_of_a_window_are_not_compared_where_its_order_calls_rows_equal() -> None:
    numbered = 'annotate(n=Window(RowNumber(), order_by=["pk"]))'
    repeated = visits("list({})", numbered, 'values("n", "tags__name")')
    assert verdict(repeated, [{"n": 1, "tags__name": "a"}], [{"n": 1, "tags__name": "b"}]) == "no right answer"
    assert verdict(repeated, [{"n": 1, "tags__name": "a"}], [{"n": 1, "tags__name": "a"}]) == "same"
    filtered = visits("list({})", numbered, 'filter(tags__name="a")', 'values("n", "path")')
    assert verdict(filtered, [{"n": 1, "path": "a"}], [{"n": 1, "path": "b"}]) == "no right answer"
    once = visits("list({})", numbered, 'values("n", "country__name")')
    assert verdict(once, [{"n": 1, "country__name": "a"}], [{"n": 1, "country__name": "b"}]) == "different"
    ranked = visits("list({})", 'annotate(n=Window(Rank(), order_by=["pk"]))', 'values("n", "tags__name")')
    assert verdict(ranked, [{"n": 1, "tags__name": "a"}], [{"n": 1, "tags__name": "b"}]) == "different"
