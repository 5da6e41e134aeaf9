"""The comparison itself: two plain databases with the same rows never differ, and a missing row is seen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connections
from hypothesis import given, seed
from hypothesis import strategies as st

from tests.properties import grouping, terminals
from tests.properties.conditions import lookups, subqueries
from tests.properties.explore import DATASETS, differences, explore, explore_small, make_rows_of, options
from tests.properties.judge import Verdict, _compare
from tests.properties.outcome import Outcome, plain_side
from tests.properties.route import UNSHARDED
from tests.properties.rows import store
from tests.properties.strategies import Draft
from tests.properties.tables import create_missing
from tests.properties.tally import Tally
from tests.properties.tree import Query, Terminal
from tests.properties.vocabulary import COLUMNS

pytestmark = pytest.mark.django_db(databases=["default", "directory", "oracle", "track_1"])
OTHER = plain_side("track_1")


@pytest.fixture(scope="module", autouse=True)
def _websites(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """The second plain database has a table of websites, which a shard has not, while these tests run."""
    with django_db_blocker.unblock():
        create_missing("track_1")
    yield
    with django_db_blocker.unblock(), connections["track_1"].schema_editor() as editor:
        for model in UNSHARDED:
            editor.delete_model(model)


def test_equal_databases_do_not_differ(oracle_seed: int) -> None:
    """A false alarm would hide the true ones."""
    tally = Tally()
    data = store(make_rows_of(DATASETS[0], oracle_seed), "twenty", through=OTHER)
    explore(data, tally, examples=400, seed_number=oracle_seed, tested=OTHER)
    assert tally.total >= 400
    # What fields refuse wherever they are asked.
    assert tally.reasons.keys() <= {"exclude-composite"}


def test_equal_databases_do_not_differ_with_made_rows(oracle_seed: int) -> None:
    """The same for rows that Hypothesis makes, one dataset a query."""
    explore_small(Tally(), examples=60, seed_number=oracle_seed, tested=OTHER)


def test_a_missing_row_is_found(oracle_seed: int) -> None:
    """The comparison sees a single row that one side lacks."""
    data = store(make_rows_of(DATASETS[0], oracle_seed), "twenty", through=OTHER)
    with connections["track_1"].cursor() as cursor:
        cursor.execute("DELETE FROM shop_tagging")
        cursor.execute("DELETE FROM shop_visit WHERE id = %s", [data.ids["Visit"][7]])
    assert differences(lambda: explore(data, Tally(), examples=300, seed_number=1, tested=OTHER)) is not None


def test_many_queries_find_rows(oracle_seed: int) -> None:
    """Comparing one empty answer with another proves little."""
    tally = Tally()
    data = store(make_rows_of(DATASETS[0], oracle_seed), "twenty", through=OTHER)
    explore(data, tally, examples=200, seed_number=oracle_seed, tested=OTHER)
    assert tally.with_rows / tally.total > 0.4


def test_a_query_inside_an_aggregates_filter_is_known_as_one(oracle_seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may run first and over all shards, however few keys the query around it names."""
    data = store(make_rows_of(DATASETS[0], oracle_seed), "twenty", through=OTHER)
    columns = list(COLUMNS["Visit"])
    for module in (grouping, terminals):
        monkeypatch.setattr(module, "conditions", lambda *_: lookups("Visit", data, 1) | subqueries("Visit", data, 1))
    seen = Counter[bool]()

    @seed(oracle_seed)
    @options(300, shrink=False)
    @given(drawn=st.data())
    def look(drawn: st.DataObject) -> None:
        grouped, alone = Draft("Visit", data, list(columns)), Draft("Visit", data, list(columns))
        drawn.draw(grouping.group(grouped))
        text, _, kinds = drawn.draw(terminals._aggregate(alone, columns, None))
        for part, told in ((text, kinds), *((str(step), step.kinds) for step in grouped.steps)):
            inside = ".objects." in part
            assert inside == bool(told & {"subquery", "subquery elsewhere"}), part
            seen[inside] += 1

    look()
    assert seen[True] > 5


def test_a_fault_of_django_is_counted_and_not_compared() -> None:
    """Django 5.2 gives its own marker for an expression beside an aggregate that can never hold."""
    query = Query("Visit", (), (), (), False, None, Terminal("value", '{}.aggregate(a=Count("id"), z=F("a") + 1)'))
    ours = Outcome({"a": 0, "z": 1})
    assert _compare(query, Outcome({"a": 0, "z": NotImplemented}), ours, OTHER)[0] == "no right answer"
    assert _compare(query, Outcome({"a": 0, "z": None}), ours, OTHER)[0] == "different"
    beyond = Outcome(None, ValueError("year -1000000 is out of range"))
    assert _compare(query, beyond, Outcome([]), OTHER)[0] == "no right answer"
    assert _compare(query, Outcome(None, ValueError("another")), Outcome([]), OTHER)[0] == "different"
    case = '{}.annotate(n=Count("id", filter=Q(ms__in=[]))).annotate(c=Case(When(n=0, then=Value(2))))'
    dropped = Query("Visit", (), (), (), False, None, Terminal("value", f"list({case})"))
    assert _compare(dropped, Outcome([None]), Outcome([2]), OTHER)[0] == "no right answer"
    tally = Tally()
    tally.add(Verdict(query, "no right answer", "Django gives NotImplemented"))
    assert tally.unanswered == {"Django gives NotImplemented": 1}
    assert tally.total == 1
    assert not tally.compared
