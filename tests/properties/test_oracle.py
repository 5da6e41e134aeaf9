"""The heart of the suite: random queries on four shards give the answers of one database with all rows."""

from __future__ import annotations

import pytest

from horizon_shards import allow_federation
from tests.properties.explore import DATASETS, DatasetPlan, explore, explore_small, make_rows_of
from tests.properties.outcome import PLAIN
from tests.properties.rows import Dataset, store
from tests.properties.tables import contents_of_shards
from tests.properties.tally import Tally
from tests.settings import ENGINE

DATABASES = ["default", "directory", "oracle", "track", "track_1", "track_2", "track_3", "track_4"]


def stored(dataset: DatasetPlan, seed_number: int, *, one_by_one: bool = False) -> Dataset:
    """The dataset on both sides, and proof that both hold the same rows, each where it belongs."""
    data = store(make_rows_of(dataset, seed_number), dataset.name, one_by_one=one_by_one)
    rows, problems = contents_of_shards()
    assert problems == []
    assert rows == PLAIN.read_tables()[0]
    return data


@pytest.mark.django_db(databases=DATABASES)
@pytest.mark.parametrize("dataset", DATASETS, ids=lambda dataset: dataset.name)
def test_same_answers_in_a_transaction(
    dataset: DatasetPlan, oracle_seed: int, oracle_queries: int, tally: Tally
) -> None:
    """Inside ``atomic()``, where the shards are asked on the connections that hold the transaction."""
    data = stored(dataset, oracle_seed, one_by_one=dataset.visits < 30)
    explore(data, tally, examples=oracle_queries * dataset.share // 100, seed_number=oracle_seed)


@pytest.mark.django_db(databases=DATABASES, transaction=True)
def test_same_answers_of_committed_rows(oracle_seed: int, oracle_queries: int, tally: Tally) -> None:
    """In autocommit, where the shards may be asked at once."""
    data = stored(DATASETS[0], oracle_seed + 1)
    explore(data, tally, examples=oracle_queries * 20 // 100, seed_number=oracle_seed + 1)


@pytest.mark.django_db(databases=DATABASES)
def test_same_answers_for_made_rows(oracle_seed: int, oracle_queries: int, tally: Tally) -> None:
    """Rows and query both come from Hypothesis, so a difference is shown with the fewest rows that have it."""
    explore_small(tally, examples=oracle_queries // 15, seed_number=oracle_seed)


@pytest.mark.skipif(ENGINE != "sqlite", reason="shards that are not SQLite are not federated")
@pytest.mark.django_db(databases=DATABASES)
def test_same_answers_of_federated_queries(oracle_seed: int, oracle_queries: int) -> None:
    """What is refused otherwise is answered, and right; hardly anything is still refused."""
    federated = Tally()
    with allow_federation(100_000):
        explore(stored(DATASETS[0], oracle_seed + 2), federated, examples=oracle_queries // 5, seed_number=oracle_seed)
    assert federated.refused_share < 0.03, federated.examples


#: Shares of refused queries, 0 to 1; some seeds ask for much that leaves the shards.
#: Without optional features (subqueries, GROUP BY without the key, ...) hardly any.
MOST_REFUSED, MOST_PLAIN_REFUSED = 0.25, 0.05
#: Fewer plain queries say little: Hypothesis goes on with what it has found, so one refusal may come a dozen times.
ENOUGH_PLAIN = 500


@pytest.mark.django_db(databases=DATABASES)
def test_refusals_stay_rare(oracle_seed: int, tally: Tally) -> None:
    """A backend that refuses everything is never wrong: refusals have a budget."""
    if tally.plain_queries < ENOUGH_PLAIN:
        data = stored(DATASETS[0], oracle_seed)
        while tally.plain_queries < ENOUGH_PLAIN:
            explore(data, tally, examples=200, seed_number=oracle_seed + tally.total)
    assert tally.refused_share < MOST_REFUSED, tally.reasons
    assert tally.plain_refused_share < MOST_PLAIN_REFUSED, tally.examples


@pytest.mark.django_db(databases=DATABASES)
def test_every_kind_was_compared(oracle_seed: int, tally: Tally) -> None:
    """What is never compared proves nothing; half of the answers at least hold something."""
    if tally.total < 2_000:
        pytest.skip(f"needs a run of 2,000 queries or more, this one has {tally.total}")
    # In a short run a rare kind may be refused each time.
    kinds = KINDS | OWN_KINDS.get(ENGINE, set())
    if missing := kinds - (tally.compared.keys() | tally.refused.keys()):
        explore(stored(DATASETS[0], oracle_seed), tally, examples=2_000, seed_number=oracle_seed - 1, about=missing)
    assert tally.compared.keys() | tally.refused.keys() >= kinds
    assert tally.total < 20_000 or tally.compared.keys() >= kinds
    assert tally.with_rows > tally.total * 0.4


KINDS = {
    "dates/datetimes", "part of a date", "told of a column", "subquery", "subquery column", "subquery elsewhere",
    "window by the key",
    "window over shards", "set operation", "expression over aggregates", "filtered relation", "composite foreign key",
    "Avg", "Count", "Count distinct", "F", "Max", "Min", "Sum", "aggregate", "aggregate annotation", "aggregate filter",
    "aggregate over a relation", "and", "annotate", "composite pk", "count", "delete", "distinct", "earliest/latest",
    "exclude", "exists", "filter", "expression over groups", "first/last", "foreign key", "get", "group",
    "having", "in", "in_bulk", "isnull", "iterator",
    "key", "not", "only/defer", "or", "order by expression", "order by related", "order with nulls", "ordered", "pk",
    "prefetch_related", "range", "related lookup", "related manager", "reverse", "select_related", "sliced",
    "to-many lookup", "update", "values", "values_list", "write", "xor",
}  # fmt: skip
#: What one engine alone is asked.
OWN_KINDS = {"postgresql": {"distinct on"}}
