"""The oracle is worth something: it finds every mistake that is put into the backend on purpose."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from functools import partial

import pytest

from horizon_shards import allow_federation
from horizon_shards.topology import get_topology
from tests.properties.explore import DATASETS, differences, explore
from tests.properties.fault_kinds import kinds_of
from tests.properties.faults import (
    FAULTS,
    Fault,
    minimum_of_the_first,
    null_among_values_forgotten,
)
from tests.properties.faults_elsewhere import FEDERATED, PLAIN, federation_filters_the_missing
from tests.properties.faults_of_plans import PLANS, first_tuple_of_many
from tests.properties.judge import judge
from tests.properties.rows import Dataset
from tests.properties.tables import shard_of
from tests.properties.tally import Tally
from tests.properties.test_oracle import DATABASES, stored
from tests.properties.tree import Query, Step, Term, Terminal
from tests.shop.models import Invoice, Visit

#: Where text has a collation that hides case, a fault about case is none.
pytestmark = [pytest.mark.django_db(databases=DATABASES), pytest.mark.sqlite_only]
#: Several times the queries that any fault needed; rows and queries are always the same, the placement is not.
QUERIES, SEED = 8_000, 20_241
#: Rows that have what a fault is about: NULL in a text that subqueries select.
ROWS = {null_among_values_forgotten: 11}
#: Rare kinds need more than one round.
ROUNDS = 4
QUERIES_WITHOUT_FAULT = 1_000


@pytest.fixture(autouse=True)
def no_plan_outlives_a_fault() -> Iterator[None]:
    """Plans are remembered: one that was made before hides a fault, one that a fault made would be used afterwards."""
    for group in get_topology().groups.values():
        group.plans.clear()
    yield
    for group in get_topology().groups.values():
        group.plans.clear()


def found_after(
    data: Dataset, *, queries: int = QUERIES, about: Collection[str] = (), seeds: Sequence[int] = (SEED,)
) -> tuple[int, str | None]:
    """How many queries it took to see a difference, and the difference."""
    tally = Tally()
    for seed in seeds:
        explored = partial(explore, data, tally, examples=queries, seed_number=seed, shrink=False, about=about)
        if (difference := differences(explored)) is not None:
            return tally.total, difference
    return tally.total, None


def test_without_a_fault_nothing_is_found() -> None:
    """The same queries over the same rows agree, so what the tests below find is the fault."""
    assert found_after(stored(DATASETS[0], SEED), queries=QUERIES_WITHOUT_FAULT)[1] is None


@pytest.mark.parametrize("fault", FAULTS + PLANS + PLAIN, ids=lambda fault: fault.__name__)
def test_fault_is_found(fault: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each fault makes some query differ."""
    data = stored(DATASETS[0], ROWS.get(fault, SEED))
    fault(monkeypatch)
    number, difference = found_after(data, about=kinds_of(fault), seeds=range(SEED, SEED + ROUNDS))
    assert difference is not None, f"{fault.__name__} is not seen in {number} queries"
    found.append((fault.__name__, number))


def test_the_shards_of_the_first_tuple_alone_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a query of its own: on most placements random ones name composite keys of several shards too rarely."""
    data = stored(DATASETS[0], SEED)
    first = data.ids["Invoice"][0]
    other = next(key for key in data.ids["Invoice"] if shard_of(Invoice, key[0]) != shard_of(Invoice, first[0]))
    both = Step(f"filter(pk__in=[{first}, {other}])")
    query = Query("Invoice", (both,), (), (), False, None, Terminal("rows", "list({})", frozenset(), ()))
    assert judge(query).result == "same"
    first_tuple_of_many(monkeypatch)
    assert judge(query).result == "different"


def test_a_minimum_of_the_first_shard_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a query of its own: of two values on two shards one is smaller, and of their negatives the other."""
    stored(DATASETS[0], SEED)
    rows = Visit.objects.filter(ms__isnull=False).values_list("pk", "ms", "site")
    (pk, ms, site), *others = rows
    other = next(row[0] for row in others if row[1] != ms and shard_of(Visit, row[2]) != shard_of(Visit, site))
    both = Step(f"filter(pk__in=[{pk}, {other}])")
    end = Terminal("value", '{}.aggregate(a=Min("ms"), b=Min(Value(0) - F("ms")))')
    query = Query("Visit", (both,), (), (), False, None, end)
    assert judge(query).result == "same"
    minimum_of_the_first(monkeypatch)
    assert judge(query).result == "different"


def test_a_filter_before_an_outer_join_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a query of its own: random ones rarely ask for no row elsewhere, and rarely where that row is joined, too."""
    stored(DATASETS[0], SEED)
    order = tuple(Term(path, False, False, None, frozenset()) for path in ("path", "editor__username", "pk"))
    none = Step("filter(editor__username__isnull=True)")
    query = Query("Visit", (none,), order, (), False, None, Terminal("rows", "list({})"))
    with allow_federation(100_000):
        assert judge(query).result == "same"
        federation_filters_the_missing(monkeypatch)
        assert judge(query).result == "different"


@pytest.mark.parametrize("fault", FEDERATED, ids=lambda fault: fault.__name__)
def test_fault_of_federation_is_found(fault: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same of faults that only a federated query can meet."""
    with allow_federation(100_000):
        test_fault_is_found(fault, monkeypatch)


#: What the summary prints: fault, queries until it was found.
found: list[tuple[str, int]] = []
