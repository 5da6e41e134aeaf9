"""Raw SQL: on the shard that a block pins, and without one where it reads reference models alone."""

from __future__ import annotations

import pytest
from django.db import connections
from django.db.models import Exists, Sum
from django.db.models.expressions import RawSQL
from django.db.transaction import atomic

from horizon_shards import using_shard
from horizon_shards.backends.sharded.rawsql import are_harmless, reads_copies_only
from horizon_shards.exceptions import QueryNotSupported
from tests.sharded.rows import rows_of_shard
from tests.shop.models import Country, Site, Visit

pytestmark = pytest.mark.django_db(databases=["default", "track"])

PLAIN = [
    "SELECT * FROM shop_country",
    'select c.*, COUNT(*) FROM "shop_country" AS c GROUP BY c.id HAVING count(*) > 0 ORDER BY c.name LIMIT 3',
    "SELECT a.id FROM shop_country a LEFT OUTER JOIN shop_country b ON (a.id = b.id) WHERE a.code IN (%s, 'x''y')",
    "SELECT id FROM (SELECT * FROM shop_country WHERE name IS NOT NULL) sq, shop_country WHERE 1 = 1",
    "SELECT id FROM shop_country WHERE EXISTS (SELECT 1 FROM shop_country d) UNION ALL SELECT 1 FROM `shop_country`",
    "SELECT %(name)s, id + 1, price * .5 FROM shop_country",
    "SELECT 1",
]
REFUSED = [
    "SELECT * FROM shop_visit",
    'SELECT * FROM "shop_visit"',
    "SELECT * FROM shop_country, shop_visit",
    "SELECT * FROM shop_country c, (SELECT * FROM shop_country) d, a_view",
    "SELECT * FROM shop_country JOIN a_view ON 1 = 1",
    "SELECT * FROM shop_country STRAIGHT_JOIN a_view",
    "SELECT * FROM other.shop_country",
    "SELECT * FROM shop_country.visits",
    "SELECT * FROM shop_country WHERE id IN (SELECT country_id FROM SHOP_VISIT)",
    "SELECT * FROM shop_country WHERE id IN a_view",
    "SELECT * FROM shop_country WHERE id IN (TABLE a_view)",
    "SELECT * FROM a_function(1)",
    "SELECT * FROM (shop_visit)",
    "SELECT a_function(id) FROM shop_country",
    "SELECT a_schema.a_function(id) FROM shop_country",
    "WITH shop_country AS (SELECT * FROM a_view) SELECT * FROM shop_country",
    "SELECT * FROM shop_country; DELETE FROM shop_country",
    "SELECT * FROM shop_country /*! , shop_visit */",
    "SELECT * FROM shop_country -- comment",
    "SELECT * FROM shop_country # comment",
    "SELECT * INTO a_table FROM shop_country",
    "SELECT * FROM shop_country FOR UPDATE",
    "SELECT 'a\\' FROM shop_visit, ' FROM shop_country",
    "SELECT $$ FROM shop_country $$, * FROM a_view",
    "SELECT @@hostname FROM shop_country",
    "SELECT * FROM [a_view]",
    "SELECT * FROM shop_country WHERE (1 = 1",
    "SELECT * FROM",
    "SELECT 1) FROM shop_country",
    "UPDATE shop_country SET name = 'x'",
    "DELETE FROM shop_country",
    "PRAGMA foreign_keys",
    "",
]


@pytest.mark.parametrize("sql", PLAIN)
def test_a_plain_select_on_reference_tables(sql: str) -> None:
    assert reads_copies_only(sql, "track")


@pytest.mark.parametrize("sql", REFUSED)
def test_anything_else(sql: str) -> None:
    assert not reads_copies_only(sql, "track")


def test_pieces_of_sql() -> None:
    assert are_harmless(
        ["id + 1", "1=0", "CASE WHEN a > 1 THEN 2 END", "FROM shop_country", "CURRENT_TIMESTAMP"], "track"
    )
    for piece in ("1) OR (1", "(SELECT 1 FROM a_view)", "f(1)", "FROM a_view", "1 --"):
        assert not are_harmless(["id", piece], "track")


def test_a_select_on_a_reference_model_is_answered_by_one_shard(visits: list[Visit]) -> None:
    assert [country.name for country in Country.objects.raw("SELECT * FROM shop_country WHERE code = %s", ["de"])] == [
        "Germany"
    ]
    with connections["track"].cursor() as cursor:
        cursor.execute("SELECT code, name FROM shop_country")
        assert list(cursor.fetchall()) == [("de", "Germany")]
        assert [column[0] for column in cursor.description] == ["code", "name"]
        cursor.execute("SELECT code FROM shop_country")
        assert [tuple(row) for row in cursor] == [("de",)]
        with pytest.raises(QueryNotSupported):
            cursor.executemany("SELECT code FROM shop_country WHERE id = %s", [(1,), (2,)])
    assert Country.objects.extra(select={"twice": "code"}, where=["name > %s"], params=["A"]).get().twice == "de"
    assert (
        Country.objects.annotate(x=RawSQL("%s", ("y",))).filter(Exists(Country.objects.extra(where=["1=1"]))).count()
        == 1
    )


def test_what_is_not_is_refused(visits: list[Visit]) -> None:
    inner = RawSQL("(SELECT COUNT(*) FROM shop_visit)", ())
    for query in (
        Visit.objects.raw("SELECT * FROM shop_visit"),
        Country.objects.raw("SELECT c.* FROM shop_country c, shop_visit"),
        Country.objects.annotate(n=inner),
        Country.objects.extra(tables=["shop_visit"]),
        Visit.objects.extra(where=["ms > 1"]),
    ):
        with pytest.raises(QueryNotSupported) as refusal:
            list(query)
        assert refusal.value.reason == "raw-sql"
    for write in (
        lambda: Country.objects.update(name=RawSQL("'x'", ())),
        lambda: Country.objects.extra(where=["1=1"]).update(name="x"),
    ):
        with pytest.raises(QueryNotSupported), atomic(using="track"):
            write()
    with connections["track"].cursor() as cursor:
        for call in (
            lambda: cursor.execute("DELETE FROM shop_country"),
            lambda: cursor.fetchone(),
            lambda: list(cursor),
        ):
            with pytest.raises(QueryNotSupported, match="on_each_shard"):
                call()


def test_on_a_pinned_shard_everything_runs_as_it_is_written(sites: list[Site], visits: list[Visit]) -> None:
    for number in (1, 2, 3, 4):
        own = rows_of_shard(Visit, f"track-{number}")
        with using_shard(f"track-{number}"):
            assert {visit.pk for visit in Visit.objects.raw("SELECT * FROM shop_visit")} == own
            assert {visit.pk for visit in Visit.objects.extra(where=["ms >= 0"])} == own
            assert Visit.objects.annotate(x=RawSQL("ms + 1", ())).aggregate(n=Sum("x"))["n"] == (3 * len(own) or None)
            with connections["track"].cursor() as cursor:
                cursor.execute("SELECT COUNT(*) FROM shop_visit")
                assert cursor.fetchone() == (len(own),)
