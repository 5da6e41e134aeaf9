"""The judge of DISTINCT ON and of AnyValue takes any right answer, and no wrong one."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connections

from tests.properties.calls import _is_among
from tests.properties.explore import DATASETS
from tests.properties.faults import duplicates_kept
from tests.properties.firsts import KIND, choices, misfit_of_firsts, without_firsts
from tests.properties.judge import judge
from tests.properties.tables import ORACLE
from tests.properties.test_oracle import DATABASES, stored
from tests.properties.tree import Query, Slice, Step, Term, Terminal
from tests.shop.models import Visit

NAMED = Step('distinct("path")', frozenset({KIND}))
VALUES = Step('values_list("ms")', frozenset({"values_list"}))
#: Rows ``(ms,)`` with their sort key and, behind it, their path: two groups, the first with two rows first together.
ROWS = [(1, 0, "a"), (2, 0, "a"), (3, 1, "a"), (1, 2, "b")]


def query(*order: str, cut: Slice | None = None) -> Query:
    terms = tuple(Term(path, False, False, None, frozenset()) for path in order)
    return Query("Visit", (), terms, (NAMED, VALUES), False, cut, Terminal("rows", "list({})"))


def why(found: list[int], *order: str, start: int = 0, stop: int | None = None) -> str | None:
    every, names = without_firsts(query(*order))
    assert names == ["path"]
    groups = choices(every, names, ROWS if order else [(ms, path) for ms, _, path in ROWS])
    rows: list[Any] = [(ms,) for ms in found]
    return misfit_of_firsts(rows, groups, start, stop, ordered=bool(order))


def test_any_row_that_is_first_together_is_right() -> None:
    assert why([1, 1], "path") is None
    assert why([2, 1], "path") is None
    assert why([1], "path", start=1) is None
    assert why([2], "path", stop=1) is None


def test_a_later_row_and_another_order_are_wrong() -> None:
    assert why([3, 1], "path") is not None
    assert why([1, 2], "path") is not None
    assert why([1], "path") is not None
    assert why([1, 1, 2], "path") is not None
    assert why([2], "path", start=1) is not None


def test_without_an_order_each_row_is_of_another_group() -> None:
    assert why([1, 3]) is None
    assert why([2, 1]) is None
    assert why([1, 1]) is None
    assert why([2, 3]) is not None
    assert why([1]) is not None
    assert why([1], stop=1) is None


def test_a_value_of_any_row_is_one_of_them() -> None:
    assert _is_among(3, [1, 3])
    assert _is_among(None, [1, None])
    assert _is_among(None, [])
    assert not _is_among(2, [1, 3])
    assert not _is_among(None, [1, 3])
    assert not _is_among(2, [])


@pytest.mark.django_db(databases=DATABASES)
def test_rows_that_are_distinct_on_each_shard_alone_are_found(
    oracle_seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fault, in a query of its own: all rows have the same value."""
    if not connections[ORACLE].features.can_distinct_on_fields:
        pytest.skip("PostgreSQL's alone")
    stored(DATASETS[1], oracle_seed)
    for database in ("track", ORACLE):
        Visit.objects.using(database).update(path="a")
    asked = [query("path"), query("path", cut=Slice(1, 3)), query()]
    assert [judge(one).result for one in asked] == ["same"] * 3
    duplicates_kept(monkeypatch)
    assert [judge(one).result for one in asked] == ["different"] * 3
