"""The check of the strict local Redshift: AWS' own examples pass, what AWS says is not there is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from horizon_shards.testing.redshift import RedshiftRefuses, check, check_sql
from horizon_shards.testing.redshift.lexer import fingerprint, tokens_of
from horizon_shards.testing.redshift.translate import to_postgresql

CORPUS = Path(__file__).parent / "redshift_corpus"

#: Pages of the corpus whose statements the check lets pass although Redshift would not: subqueries that ask for columns
#: of a query further out than the next, or stand in the condition of an outer join.
MISSED = {"r_correlated_subqueries.html"}


def corpus(name: str) -> Iterator[tuple[str, str]]:
    """The statements of a file, each with the page of AWS' Database Developer Guide it comes from."""
    page = ""
    for line in (CORPUS / name).read_text().splitlines():
        if line.startswith("-- "):
            page = line[3:]
        elif line:
            yield page, line


@pytest.mark.parametrize(("page", "sql"), list(corpus("valid.sql")))
def test_what_aws_shows_is_accepted(page: str, sql: str) -> None:
    assert check_sql(sql) == []


@pytest.mark.parametrize(("page", "sql"), list(corpus("invalid.sql")))
def test_what_aws_excludes_is_refused(page: str, sql: str) -> None:
    assert bool(check_sql(sql)) == (page not in MISSED)


def test_the_corpus_is_large_and_little_of_it_is_missed() -> None:
    valid, invalid = (list(corpus(name)) for name in ("valid.sql", "invalid.sql"))
    assert len(valid) >= 120
    assert len(invalid) >= 120
    assert sum(page in MISSED for page, _ in invalid) <= 0.05 * len(invalid)


def test_a_refusal_names_its_rule_and_its_page() -> None:
    (refusal,) = check_sql("INSERT INTO a (b) VALUES (1) RETURNING id")
    assert refusal.rule == "returning"
    assert "c_unsupported-postgresql-features.html" in refusal.message
    assert "(returning)" in str(RedshiftRefuses([refusal], "INSERT"))


@pytest.mark.parametrize(
    ("sql", "rule"),
    [
        ("SELECT '" + "x" * 17_000_000 + "'", "statement-size"),
        ("SELECT 'a\x00'", "nul"),
        ("CREATE TABLE a (" + ", ".join(f"c{n} int" for n in range(1601)) + ")", "columns"),
        ('SELECT 1 AS "' + "n" * 128 + '"', "name-length"),
    ],
)
def test_limits(sql: str, rule: str) -> None:
    assert [refusal.rule for refusal in check_sql(sql)] == [rule]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 'RETURNING', 'it''s for update', 'a\\'b ON CONFLICT' FROM t",
        'SELECT "returning", "for update" FROM "on conflict"',
    ],
)
def test_words_in_literals_and_names_are_no_statements(sql: str) -> None:
    assert check_sql(sql) == []


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT a AS inet FROM t",
        "ALTER TABLE a ADD COLUMN json varchar(10)",
        "ALTER TABLE a RENAME COLUMN json TO xml",
        "CREATE TABLE xml (json varchar(10), point int)",
    ],
)
def test_names_of_types_that_redshift_has_not_are_names(sql: str) -> None:
    assert check_sql(sql) == []


def test_tokens_lose_nothing() -> None:
    for name in ("valid.sql", "invalid.sql"):
        for _, sql in corpus(name):
            assert "".join(token.text for token in tokens_of(sql)) == sql


def test_statements_that_differ_in_values_alone_share_a_verdict() -> None:
    one = fingerprint("INSERT INTO a (b, c) VALUES (1, 'x')")
    assert one == fingerprint("INSERT INTO a (b, c) VALUES (2, 'y'), (3, 'z')")
    assert one != fingerprint("INSERT INTO a (b, d) VALUES (1, 'x')")


@pytest.mark.parametrize(
    ("redshift", "postgresql"),
    [
        ("""SELECT "t"."d"."a"[0] FROM "t" """, """SELECT jsonb_extract_path("t"."d", 'a', '0') FROM "t" """),
        ("""SELECT "t"."d" FROM "t" """, """SELECT "t"."d" FROM "t" """),
        (
            "SELECT LISTAGG(a, ',') WITHIN GROUP (ORDER BY b) FROM t",
            "SELECT string_agg(CAST(a AS text), ',' ORDER BY b) FROM t",
        ),
        ("SELECT DATEADD(second, 1, a)", "SELECT DATEADD('second', 1, a)"),
        ("SELECT OBJECT('a', ARRAY(1))", "SELECT jsonb_build_object('a', jsonb_build_array(1))"),
    ],
)
def test_translations(redshift: str, postgresql: str) -> None:
    assert to_postgresql(redshift) == postgresql


def test_the_command_names_file_line_and_rule(tmp_path: Path) -> None:
    file = tmp_path / "a.sql"
    file.write_text("-- first\nSELECT ';';\n\nSELECT 1\nFROM t\nFOR UPDATE;\n")
    out = StringIO()
    with pytest.raises(CommandError, match="1 of 2 statements"):
        call_command("redshift_check", str(file), stdout=out)
    assert out.getvalue().startswith(f"{file}:4: for-update: ")
    file.write_text("SELECT 1")
    out = StringIO()
    call_command("redshift_check", str(file), stdout=out)
    assert "accept 1 statements" in out.getvalue()


def test_the_command_writes_json(tmp_path: Path) -> None:
    file = tmp_path / "a.sql"
    file.write_text("SELECT data -> 'a' FROM t;")
    out = StringIO()
    with pytest.raises(CommandError):
        call_command("redshift_check", str(file), "--json", stdout=out)
    assert json.loads(out.getvalue())["rule"] == "json-operator"


def test_threads_share_the_verdicts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check._store().close()
    check._store.cache_clear()
    monkeypatch.setenv("REDSHIFT_VERDICTS", str(tmp_path))
    statements = [f'SELECT "a{number}" FROM "t"' for number in range(16)] * 8
    try:
        with ThreadPoolExecutor(8) as pool:
            assert [*pool.map(check_sql, statements)] == [[]] * len(statements)
    finally:
        check._store().close()
        check._store.cache_clear()
