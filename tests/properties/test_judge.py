"""The judge: what one database leaves open is not compared, and nothing else is let pass."""

from __future__ import annotations

import pytest
from django.db import DataError, OperationalError, ProgrammingError, connections

from tests.properties.judge import _compare
from tests.properties.outcome import PLAIN, SHARDS_SIDE, Outcome, run
from tests.properties.tree import Query, Step, Terminal
from tests.settings import ENGINE
from tests.shop.models import Shown

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
def test_which_texts_are_equal_is_asked_of_what_is_stored() -> None:
    badges = visits("list({})", 'annotate(w=Window(Max("visitor__badge")))', 'values_list("w", flat=True)')
    assert verdict(badges, [Shown("z")], [Shown("A")]) == "same"
    assert verdict(badges, [Shown("z")], [Shown("Z")]) == "different"
    assert verdict(badges, [Shown("z")], ["z"]) == "different"


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


def test_any_of_the_rows_of_an_id_is_kept_in_bulk() -> None:
    tagged = 'annotate(tag=F("tags__name"))'
    for calls, expected in (((tagged,), "no right answer"), ((), "different")):
        kept = Query("Visit", tuple(map(Step, calls)), (), (), False, None, bulk())
        assert verdict(kept, {1: "a"}, {1: "b"}) == expected
        assert verdict(kept, {1: "a"}, {1: "a"}) == "same"


def bulk() -> Terminal:
    return Terminal("value", "{}.in_bulk([1])", frozenset({"in_bulk"}))


def test_what_one_database_does_not_answer_is_not_compared() -> None:
    all_visits = visits("list({})")
    for error in (
        DataError("integer out of range"),
        OperationalError(1111, "Invalid use of group function"),
        ProgrammingError("SELECT DISTINCT ON expressions must match initial ORDER BY expressions"),
        OperationalError("1st ORDER BY term out of range - should be between 1 and 4"),
        ProgrammingError("ORDER BY position 5 is not in select list"),
    ):
        outcome = Outcome(None, error)
        assert _compare(all_visits, outcome, Outcome([]), SHARDS_SIDE)[0] == "no right answer"
        assert _compare(all_visits, Outcome([]), outcome, SHARDS_SIDE)[0] == "different"


def test_what_fails_in_the_compiler_of_django_is_not_compared() -> None:
    """But an index beyond the rows is an answer."""
    rows = visits("list({})")
    sorted_by_condition = run(
        'Visitor.objects.annotate(n=Q(site__name="a")).order_by("n").values("id").update(name="")', PLAIN
    )
    beyond = run("[][0]", PLAIN)
    assert isinstance(sorted_by_condition.error, AttributeError)
    assert isinstance(beyond.error, IndexError)
    assert _compare(rows, sorted_by_condition, Outcome([]), SHARDS_SIDE)[0] == "no right answer"
    assert _compare(rows, beyond, Outcome([]), SHARDS_SIDE)[0] == "different"
