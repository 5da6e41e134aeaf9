"""Raw SQL that one shard may answer: it reads reference tables, which every shard has whole, and nothing else.

What is not understood is refused: a function that is not known here (it may read other tables), a name behind FROM or
JOIN that is no table of a reference model (a view, a CTE, a schema), a comment, a second statement.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from django.apps import apps

from horizon_shards.placement import placement_of

TOKEN = re.compile(
    r"""\s*(?: (?P<text>'[^'\\]*') | "(?P<quoted>[^"\\]+)" | `(?P<ticked>[^`\\]+)` | (?P<word>[A-Za-z_]\w*)
    | (?P<number>\d[\w.]*) | (?P<sign>[()+*/%<>=!,.|~&^:-]) )""",
    re.VERBOSE,
)
COMMENTS = ("--", "/*", "#")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: Words behind which a bracket holds no arguments of a function.
BEFORE_BRACKETS = _words(
    "AND OR NOT IN EXISTS ON AS WHEN THEN ELSE OVER BY WHERE HAVING SELECT USING ANY ALL UNION INTERSECT EXCEPT"
)
#: Functions of the engines that compute with their arguments alone.
FUNCTIONS = _words(
    "COUNT SUM MIN MAX AVG UPPER LOWER LENGTH COALESCE NULLIF ABS ROUND FLOOR CEIL CAST TRIM SUBSTR CONCAT REPLACE "
    "ROW_NUMBER RANK DENSE_RANK LAG LEAD FIRST_VALUE LAST_VALUE CHAR VARCHAR DECIMAL NUMERIC"
)
#: Words that lock, write, or name tables in ways that are not followed here.
REFUSED = _words("WITH INTO UPDATE SHARE LOCK TABLE CALL EXECUTE INSERT DELETE TRUNCATE LATERAL PROCEDURE VALUES")
ENDS_FROM = _words("WHERE GROUP ORDER HAVING LIMIT OFFSET UNION INTERSECT EXCEPT WINDOW SELECT")


def reads_copies_only(sql: str, database: str) -> bool:
    """Whether ``sql`` is one SELECT on reference tables of the logical database alone."""
    tokens = _tokens(sql)
    return tokens is not None and tokens[:1] == ["SELECT"] and _Reader(tokens, database).is_plain()


def are_harmless(fragments: Iterable[str], database: str) -> bool:
    """Whether pieces of SQL read no table but reference tables of the logical database."""
    found = [_tokens(fragment) for fragment in fragments]
    return all(tokens is not None and _Reader(tokens, database).is_plain() for tokens in found)


def _tokens(sql: str) -> list[str] | None:
    """Words in capitals, quoted names as they are with a quote before them, signs; None for what is not known here."""
    if any(comment in sql for comment in COMMENTS):
        return None
    found, position, sql = [], 0, sql.rstrip()
    while position < len(sql):
        match = TOKEN.match(sql, position)
        if match is None:
            return None
        position = match.end()
        name = match["quoted"] or match["ticked"]
        found.append('"' + name if name else (match["word"] or match["sign"] or "0").upper())
    return found


def reference_tables(database: str) -> tuple[set[str], set[str]]:
    """The tables of reference models, which are no views, and those of all other models; in small letters."""
    copied: set[str] = set()
    others: set[str] = set()
    for model in apps.get_models(include_auto_created=True):
        placement = placement_of(model)
        here = placement is not None and placement.database == database and not placement.sharded
        (copied if here and model._meta.managed else others).add(model._meta.db_table.lower())
    return copied - others, others


class _Reader:
    """Follows the names behind FROM and JOIN through the brackets of a statement."""

    def __init__(self, tokens: list[str], database: str) -> None:
        self.tokens = tokens
        self.copied, self.others = reference_tables(database)
        #: For each open bracket, whether a comma leads to another table.
        self.in_from = [False]
        self.wants_table = False

    def is_plain(self) -> bool:
        """Whether every name behind FROM or JOIN is a reference table, and all else is known."""
        ends = ["", *self.tokens, ""]
        steps = zip(ends, self.tokens, ends[2:], strict=False)
        return all(self._step(*step) for step in steps) and not self.wants_table and len(self.in_from) == 1

    def _step(self, before: str, piece: str, after: str) -> bool:
        # SQLite takes IN with the name of a table, too.
        if piece in REFUSED or self._name(piece) in self.others or (piece == "IN" and after != "("):
            return False
        if self.wants_table:
            return self._table(piece, after)
        if piece == "(":
            return self._open(before)
        if piece == ")":
            self.in_from.pop()
            return bool(self.in_from)
        if piece in ENDS_FROM:
            self.in_from[-1] = False
        elif piece == "FROM" or piece.endswith("JOIN") or (piece == "," and self.in_from[-1]):
            self.wants_table = True
        return True

    def _table(self, piece: str, after: str) -> bool:
        self.wants_table = False
        self.in_from[-1] = True
        if piece == "(":
            self.in_from.append(False)
            return after == "SELECT"
        return self._name(piece) in self.copied and after not in (".", "(")

    def _open(self, before: str) -> bool:
        self.in_from.append(False)
        is_word = before[:1] == '"' or before[:1].isalpha() or before[:1] == "_"
        return not is_word or before in BEFORE_BRACKETS or before in FUNCTIONS

    @staticmethod
    def _name(piece: str) -> str:
        return piece.removeprefix('"').lower()
