"""The oracle is worth something: it finds every mistake that is put into the backend on purpose."""

from __future__ import annotations

import pytest

from tests.properties.explore import DATASETS, differences, explore
from tests.properties.faults import FAULTS, Fault
from tests.properties.rows import Dataset
from tests.properties.tally import Tally
from tests.properties.test_oracle import DATABASES, stored

#: Where text has a collation that hides case, a fault about case is none.
pytestmark = [pytest.mark.django_db(databases=DATABASES), pytest.mark.sqlite_only]
#: Several times the queries that any fault needed; rows and queries are always the same, the placement is not.
QUERIES, SEED = 8_000, 20_241
QUERIES_WITHOUT_FAULT = 1_000


def found_after(data: Dataset, *, queries: int = QUERIES) -> tuple[int, str | None]:
    """How many queries it took to see a difference, and the difference."""
    tally = Tally()
    difference = differences(lambda: explore(data, tally, examples=queries, seed_number=SEED, shrink=False))
    return tally.total, difference


def test_without_a_fault_nothing_is_found() -> None:
    """The same queries over the same rows agree, so what the tests below find is the fault."""
    assert found_after(stored(DATASETS[0], SEED), queries=QUERIES_WITHOUT_FAULT)[1] is None


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_fault_is_found(fault: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each fault makes some query differ."""
    data = stored(DATASETS[0], SEED)
    fault(monkeypatch)
    number, difference = found_after(data)
    assert difference is not None, f"{fault.__name__} is not seen in {number} queries"
    found.append((fault.__name__, number))


#: What the summary prints: fault, queries until it was found.
found: list[tuple[str, int]] = []
