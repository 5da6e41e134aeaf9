"""on_each_shard(): one statement on every shard, for operators."""

from __future__ import annotations

import pytest
from django.db import DatabaseError
from django.db.transaction import atomic

from horizon_shards import allow_cross_shard, on_each_shard, using_shard
from horizon_shards.exceptions import ConfigurationError, CrossShardTransaction, QueryNotSupported, RowLimitExceeded
from tests.changed_databases import limited
from tests.sharded.rows import rows_of_shard
from tests.shop.models import Visit

pytestmark = pytest.mark.django_db(databases=["default", "directory", "track", "crm"])

SHARDS = ["track-1", "track-2", "track-3", "track-4"]


def test_rows_by_shard(visits: list[Visit]) -> None:
    counts = on_each_shard("SELECT COUNT(*) FROM shop_visit WHERE ms >= %s", [0], using="track")
    assert list(counts) == SHARDS
    assert counts == {shard: [(len(rows_of_shard(Visit, shard)),)] for shard in SHARDS}


def test_a_statement_without_rows(visits: list[Visit]) -> None:
    assert on_each_shard("UPDATE shop_visit SET ms = 7", using="track") == {shard: [] for shard in SHARDS}
    assert set(Visit.objects.values_list("ms", flat=True)) == {7}


def test_it_belongs_to_the_transaction(visits: list[Visit]) -> None:
    with pytest.raises(RuntimeError), atomic(using="track"):
        on_each_shard("DELETE FROM shop_visit", using="track")
        raise RuntimeError
    assert Visit.objects.count() == 60


def test_an_error_names_its_shard_and_a_pin_contradicts_it() -> None:
    with pytest.raises(DatabaseError, match=r"shard 'track-\d'"), atomic(using="track"):
        on_each_shard("SELECT * FROM no_such_table", using="track")
    with using_shard("track-2"), pytest.raises(QueryNotSupported, match="using_shard"):
        on_each_shard("SELECT 1", using="track")
    with pytest.raises(ConfigurationError, match=r"using=.*'track'"):
        on_each_shard("SELECT 1")


def test_the_limit_of_rows(visits: list[Visit]) -> None:
    with limited("track", max_rows=1), pytest.raises(RowLimitExceeded):
        on_each_shard("SELECT id FROM shop_visit", using="track")


def test_a_transaction_of_one_shard_refuses_it_before_any_is_asked() -> None:
    with pytest.raises(CrossShardTransaction), atomic(using="crm"):
        on_each_shard("DELETE FROM shop_customer", using="crm")
    with allow_cross_shard(), atomic(using="crm"):
        assert set(on_each_shard("SELECT 1", using="crm")) == {"crm-a", "crm-b", "crm-full"}


def test_reference_rows_can_be_compared(visits: list[Visit]) -> None:
    found = on_each_shard("SELECT code FROM shop_country", using="track")
    assert list(found.values()) == [[("de",)]] * 4
