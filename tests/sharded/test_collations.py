"""The collation of a column is that of its field, or of the field that its foreign key refers to."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connections, models
from django.db.models import Case, Count, F, Max, Min, TextField, Value, When
from django.db.models.expressions import Col
from django.db.models.fields.json import KT
from django.db.models.functions import Cast, Coalesce, Collate, Concat, Greatest, Lower, Trim, Upper
from django.test.utils import isolate_apps

from horizon_shards.backends.sharded.collations import collation_of, compares_alike
from horizon_shards.backends.sharded.constants import Column, table_of
from horizon_shards.exceptions import QueryNotSupported
from tests.settings import ENGINE
from tests.shop.models import Visit


@isolate_apps("tests.shop")
def test_a_foreign_key_has_the_collation_of_what_it_refers_to() -> None:
    class Word(models.Model):
        text = models.CharField(max_length=9, primary_key=True, db_collation="nocase")

        class Meta:
            app_label = "shop"

    class Use(models.Model):
        word = models.ForeignKey(Word, models.CASCADE)
        plain = models.CharField(max_length=9)

        class Meta:
            app_label = "shop"

    word, key, plain = (
        Word._meta.pk.get_col("a"),
        *(Use._meta.get_field(name).get_col("b") for name in ("word", "plain")),
    )
    sqlite = connections["directory"]
    assert [collation_of(column, sqlite) for column in (word, key, plain)] == ["nocase", "nocase", None]
    mixed = Concat(key, Collate(plain, "explicit"))
    assert [collation_of(mixed, SimpleNamespace(vendor=vendor)) for vendor in ("mysql", "sqlite")] == ["explicit"] * 2
    assert compares_alike(key, word)
    assert not compares_alike(plain, word)
    assert not compares_alike(Lower(key), Lower(word))
    assert compares_alike(Lower(plain), plain)


NOCASE = Collate("path", "NOCASE")
INSIDE = [
    Concat(NOCASE, Value("x")),
    Coalesce(NOCASE, Value("x")),
    Trim(NOCASE),
    Greatest(NOCASE, Value("")),
    Upper(Concat(Value(""), NOCASE)),
    Case(When(bot=True, then=NOCASE), default=NOCASE),
]


@pytest.mark.sqlite_only
@pytest.mark.django_db(databases=["default", "track"])
@pytest.mark.parametrize("expression", INSIDE, ids=lambda expression: type(expression).__name__)
def test_a_collation_inside_goes_for_the_whole_on_sqlite(spread: list[Visit], expression: Any) -> None:
    for number, visit in enumerate(spread):
        Visit.objects.filter(pk=visit.pk, site=visit.site_id).update(path="aBAb"[number % 4])
    by_text = Visit.objects.order_by(expression, "pk").values_list("path", flat=True)
    assert "".join(by_text).lower() == "aaaaaabbbbbb"
    assert [count for _, count in Visit.objects.values_list(expression).annotate(n=Count("pk"))] == [6, 6]
    assert Visit.objects.values_list(expression).distinct().count() == 2
    assert Visit.objects.aggregate(n=Count(expression, distinct=True)) == {"n": 2}


MYSQL_ONLY = pytest.mark.skipif(ENGINE != "mysql", reason="MySQL's weights of collations")


@MYSQL_ONLY
@pytest.mark.django_db(databases=["default", "track"])
def test_conditions_on_texts_of_groups_tell_case_apart_as_on_one_database(spread: list[Visit]) -> None:
    """A text that is known already weighs as its column does, where COLLATE would win over BINARY."""
    texts = ("A,b", "a,b", "", "'\"\\")
    for number, visit in enumerate(spread):
        Visit.objects.filter(pk=visit.pk, site=visit.site_id).update(path=texts[number % 4], ms=number % 4)
    groups = Visit.objects.values_list("ms").annotate(m=Max("path")).order_by("ms")
    assert [ms for ms, _ in groups.filter(m__contains="a,")] == [1]
    assert [ms for ms, _ in groups.filter(m__regex="[A-Z]")] == [0]
    assert [ms for ms, _ in groups.filter(m__endswith="\\")] == [3]
    assert [ms for ms, _ in groups.filter(m="")] == [2]
    assert [ms for ms, _ in groups.filter(m="A,B")] == [0, 1]
    explicit = Visit.objects.values_list("ms").annotate(m=Max(Collate("path", "utf8mb4_bin"))).order_by("ms")
    assert [ms for ms, _ in explicit.filter(m="a,b")] == [1]


def declared(collation: str) -> Any:
    field = models.CharField(max_length=9, db_collation=collation)
    field.set_attributes_from_name("v")
    return Col("t", field)


@MYSQL_ONLY
@pytest.mark.django_db(databases=["default", "track", "track_1"])
def test_known_texts_have_the_collation_and_the_weight_of_their_column() -> None:
    connection = connections["track_1"]
    texts = ("A,b", "", "'\"\\", "\N{GRINNING FACE}", None)
    with connection.cursor() as cursor:
        for collation in ("utf8mb4_unicode_ci", "utf8mb4_bin"):
            columns = [Column("v", declared(collation))]
            for rows in ([[text] for text in texts], [[None], ["a"]], [["a"]]):
                table, params = table_of(rows, columns, connection)
                cursor.execute(f"SELECT v, COLLATION(v), COERCIBILITY(v) FROM ({table}) known", params)
                assert list(cursor.fetchall()) == [(text, collation, 2) for (text,) in rows]


@MYSQL_ONLY
@pytest.mark.django_db(databases=["default", "track"])
def test_texts_out_of_json_compare_by_their_bytes(spread: list[Visit]) -> None:
    """Whatever the collation of the database is; beside a column, it is the column's that counts."""
    for number, visit in enumerate(spread):
        text = ["1", "10", "a", "A"][number % 4]
        Visit.objects.filter(pk=visit.pk, site=visit.site_id).update(extra={"a": text}, path="aA"[number % 2])
    text = KT("extra__a")
    for expression in (text, Lower(text), Concat(text, Value("", TextField()), output_field=TextField())):
        by_text = Visit.objects.order_by(expression, "pk").values_list(expression, flat=True)
        assert list(by_text) == sorted(by_text)
        assert len(set(by_text)) == Visit.objects.values(e=expression).distinct().count()
    assert Visit.objects.aggregate(low=Min(text), high=Max(text)) == {"low": "1", "high": "a"}
    assert list(Visit.objects.values_list(text).annotate(n=Count("pk")).order_by(text)) == [
        ("1", 3), ("10", 3), ("A", 3), ("a", 3)
    ]  # fmt: skip
    beside = Concat("path", text, output_field=TextField())
    assert Visit.objects.values(e=beside).distinct().count() == 3
    with pytest.raises(QueryNotSupported, match="collation"):
        list(Visit.objects.values_list(text).union(Visit.objects.values_list(Cast("path", TextField()))))


@pytest.mark.skipif(ENGINE != "postgresql", reason="names of PostgreSQL's collations")
@pytest.mark.django_db(databases=["default", "track"])
def test_functions_of_known_texts_go_by_their_collation_on_postgresql(spread: list[Visit]) -> None:
    """That of the column, which upper() and a pattern ask for."""
    Visit.objects.update(path="é", bot=False)
    groups = Visit.objects.values_list("bot")
    assert [text for _, text in groups.annotate(m=Upper(Max(Collate("path", "C"))))] == ["é"]
    assert [text for _, text in groups.annotate(m=Upper(Max("path")))] == ["É"]
    assert not groups.annotate(m=Max(Collate("path", "C"))).filter(m__icontains="É")
    both = groups.annotate(a=Max(Collate("path", "C")), b=Max("path"))
    assert len(both.filter(a=F("b"))) == 1
