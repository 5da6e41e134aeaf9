"""The comparison itself: two plain databases with the same rows never differ, and a missing row is seen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connections

from tests.properties.explore import DATASETS, differences, explore, explore_small, make_rows_of
from tests.properties.outcome import plain_side
from tests.properties.rows import store
from tests.properties.tables import create_missing
from tests.properties.tally import Tally
from tests.shop.models import Site

pytestmark = pytest.mark.django_db(databases=["default", "directory", "oracle", "track_1"])
OTHER = plain_side("track_1")


@pytest.fixture(scope="module", autouse=True)
def _websites(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """The second plain database has a table of websites, which a shard has not, while these tests run."""
    with django_db_blocker.unblock():
        create_missing("track_1")
    yield
    with django_db_blocker.unblock(), connections["track_1"].schema_editor() as editor:
        editor.delete_model(Site)


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


def test_most_queries_find_rows(oracle_seed: int) -> None:
    """Comparing one empty answer with another proves little."""
    tally = Tally()
    data = store(make_rows_of(DATASETS[0], oracle_seed), "twenty", through=OTHER)
    explore(data, tally, examples=200, seed_number=oracle_seed, tested=OTHER)
    assert tally.with_rows / tally.total > 0.5
