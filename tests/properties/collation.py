"""Which texts the oracle's engine calls equal: what decides ties, and which of them DISTINCT keeps."""

from __future__ import annotations

from django.db import connections

_representatives: dict[str, dict[str, str]] = {}


def fold(text: str, alias: str) -> str:
    """The first text seen that this database calls equal to ``text``; ``text`` itself where equal means identical."""
    if connections[alias].vendor != "mysql":
        return text
    known = _representatives.setdefault(alias, {})
    if text not in known:
        equal = _equal_one(text, sorted(set(known.values())), alias)
        known[text] = text if equal is None else equal
    return known[text]


def _equal_one(text: str, candidates: list[str], alias: str) -> str | None:
    if not candidates:
        return None
    collation = _collation(alias)
    one = f"CONVERT(%s USING utf8mb4) COLLATE {collation}"
    with connections[alias].cursor() as cursor:
        cursor.execute(
            "SELECT " + ", ".join(f"{one} = {one}" for _ in candidates),
            [value for candidate in candidates for value in (text, candidate)],
        )
        answers = cursor.fetchone()
    return next((candidate for candidate, equal in zip(candidates, answers, strict=True) if equal), None)


def _collation(alias: str) -> str:
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT @@collation_database")
        return str(cursor.fetchone()[0])
