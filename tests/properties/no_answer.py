"""Queries to which one database has no right answer: faults of Django and of engines that are known."""

from __future__ import annotations

import re
from traceback import walk_tb

from django.core.exceptions import FullResultSet
from django.db import DataError, OperationalError, ProgrammingError, connections

from tests.properties.outcome import PLAIN, Outcome
from tests.properties.tree import Query
from tests.properties.vocabulary import COLUMNS

#: What SQLite, MariaDB, MySQL and PostgreSQL say of SQL that makes no sense, or that they do not know.
INVALID = re.compile(
    "syntax error|error in your SQL syntax|no such column|misuse|Unknown column|missing FROM-clause|"
    "column .* does not exist|(different|same) number of columns|sub-select returns|Operand should contain|"
    "subquery has too|Duplicate column name|only_full_group_by|Invalid use of group function|"
    "SELECT DISTINCT ON expressions must match|ORDER BY term out of range|ORDER BY position"
)
#: What MySQL and MariaDB do not do in an UPDATE.
UPDATE = re.compile("You can't specify target table|Window function is allowed only in SELECT")

#: What Python says of a year that no date has, if a query is made of it at all.
BEYOND = re.compile(r"year -?\d+ is out of range|Year is out of range: -?\d+")


def fault_of_django(expected: Outcome) -> str | None:
    """Why what one database gives is no answer that anything can be compared with; None where it is one.

    Django 5.2 hands its own marker out where an expression stands beside an aggregate that can never hold.
    """
    if isinstance(expected.error, OperationalError | ProgrammingError) and INVALID.search(str(expected.error)):
        return "Django makes no valid SQL"
    if UPDATE.search(str(expected.error)):
        return "MySQL updates by no window and by no row of the same table"
    if isinstance(expected.error, FullResultSet):
        return "Django hands FullResultSet out"
    if isinstance(expected.error, DataError) and str(expected.error) == "string or blob too big":
        return "SQLite cannot give a whole number beyond 64 bits"
    if isinstance(expected.error, DataError) and "integer out of range" in str(expected.error):
        return "PostgreSQL computes in 32 bits what the shards merge in 64"
    if isinstance(expected.error, ValueError) and BEYOND.fullmatch(str(expected.error)):
        return "Django cannot write the year"
    if isinstance(expected.error, AttributeError | IndexError) and _fails_in_compiler(expected.error):
        return "Django's compiler fails"
    values = expected.value.values() if isinstance(expected.value, dict) else ()
    return "Django gives NotImplemented" if any(value is NotImplemented for value in values) else None


def _fails_in_compiler(error: Exception) -> bool:
    """Whether Django's compiler raised it: for a condition that sorts an UPDATE, groups of what a window leaves."""
    modules = [str(frame.f_globals.get("__name__")) for frame, _ in walk_tb(error.__traceback__)]
    return bool(modules) and modules[-1].startswith("django.db.models.sql.")


def miscount_of_django(query: Query) -> str | None:
    """Groups by a composite primary key, counted: Django writes GROUP BY 1 for the whole key, its first column."""
    sliced = query.model == "Invoice" and query.slice is not None and "aggregate annotation" in query.kinds
    return "Django groups by a part of the key" if sliced and "count" in query.kinds else None


NEVER_COUNTED = re.compile(r"filter=.*__in=\[\].*Case\(When\(")


def case_of_django(query: Query) -> str | None:
    """A Case by a count whose condition can never hold: Django drops the When, also where it says that it is 0."""
    return "Django drops a When by a count that can never hold" if NEVER_COUNTED.search(str(query)) else None


#: Joins to other rows of the model itself: these may be asked first, wherever they are.
THERE_AND_BACK = ("country__visit", "visitor__visits", "account__orders")


def update_of_sqlite(query: Query) -> str | None:
    """An UPDATE where EXISTS looks at the same table: SQLite 3.40 sees rows that the UPDATE has changed already.

    Of 215 rows that it should change, it changed 73; of 12 that its SELECT finds by the same condition, 2.
    """
    text = str(query)
    if connections[PLAIN.alias].vendor != "sqlite" or "update(" not in text:
        return None
    negated = query.kinds & {"not", "exclude"} and any(join in text for join in THERE_AND_BACK)
    inside = "OuterRef(" in text and text.count(f"{query.model}.objects") > 1
    return "SQLite sees rows that its UPDATE has changed" if negated or inside else None


def order_of_django(query: Query) -> str | None:
    """A composite key in the order beside a condition on a window: Django orders by its last column alone."""
    text = str(query)
    ordered = query.model == "Invoice" and "Window(" in text and ('"pk"' in text or '"-pk"' in text)
    return "Django orders by a part of the key" if ordered else None


def cut_of_mysql(query: Query, expected: Outcome) -> str | None:
    """Texts in no order that do not fit into ``group_concat_max_len`` bytes: which of them are left out is open."""
    if connections[PLAIN.alias].vendor != "mysql" or "pieces(" not in str(query) or not expected.value:
        return None
    with connections[PLAIN.alias].cursor() as cursor:
        cursor.execute("SELECT @@group_concat_max_len")
        (limit,) = cursor.fetchone()
    # A character has four bytes at most.
    is_cut = any(pieces and len("|".join(pieces).encode()) > limit - 4 for pieces in expected.value.values())
    return "MySQL cuts texts in any order" if is_cut else None


#: Windows that number rows, or name rows by their place.
PLACES = re.compile(r"Window\((RowNumber|Ntile|Lag|Lead|FirstValue|NthValue|LastValue)\(|frame=RowRange")


def ties(query: Query) -> str | None:
    """What is open of rows that a to-many relation repeats: their places in a window, and which in_bulk() keeps."""
    text = str(query)
    repeats = [column.path for column in COLUMNS[query.model] if column.many]
    if not any(re.search(rf"\b{path}(__\w+)?[\"=]", text) for path in repeats):
        return None
    if PLACES.search(text):
        return "A window numbers rows that its order calls equal"
    return "in_bulk() keeps any of the rows of an id" if "in_bulk" in query.kinds else None


KNOWN_FAULTS = (miscount_of_django, case_of_django, update_of_sqlite, order_of_django)


def fault_of_database(query: Query, expected: Outcome) -> str | None:
    """Why one database has no right answer to the query; None where it has."""
    faults = (
        fault_of_django(expected),
        cut_of_mysql(query, expected),
        *(known(query) for known in KNOWN_FAULTS),
    )
    return next((fault for fault in faults if fault is not None), None)
