"""How values are written into SQL: Redshift has no ``E'...'`` literals, no bytea, and JSON goes through JSON_PARSE."""

from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Any

from django.db import DataError
from django.db.backends.postgresql.psycopg_any import is_psycopg3


def quoted(text: str) -> str:
    """A string literal: backslashes are doubled, because Redshift reads them as escapes."""
    if "\x00" in text:
        raise DataError("Redshift text cannot contain NUL (0x00) characters.")
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


class Varbyte(bytes):
    """Bytes that are written as ``TO_VARBYTE('...', 'hex')``."""

    def sql(self) -> str:
        """The expression that makes these bytes."""
        return f"TO_VARBYTE('{self.hex()}', 'hex')"


class SuperValue:
    """A JSON document that is written as ``JSON_PARSE('...')``."""

    def __init__(self, document: str) -> None:
        self.document = document

    def sql(self) -> str:
        """The expression that makes this SUPER value."""
        return f"JSON_PARSE({quoted(self.document)})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SuperValue) and other.document == self.document

    def __hash__(self) -> int:
        return hash(self.document)


def literal(value: Any) -> str:
    """A value as it stands in SQL, written without a connection: for DDL."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float, Decimal)):
        return str(value)
    if isinstance(value, str):
        return quoted(value)
    if hasattr(value, "sql"):
        return str(value.sql())
    return _moment(value)


def _moment(value: Any) -> str:
    if isinstance(value, datetime.datetime):
        kind = "timestamp" if value.tzinfo is None else "timestamptz"
    else:
        kind = {datetime.date: "date", datetime.time: "time"}.get(type(value), "")
    if not kind:
        raise TypeError(f"{value!r} cannot be written into Redshift's SQL.")
    return f"'{value}'::{kind}"


if is_psycopg3:
    from psycopg.adapt import Dumper
    from psycopg.pq import Format

    class TextDumper(Dumper):
        """Text as a plain literal: psycopg's own writes ``E'...'`` where a backslash is in it."""

        format = Format.TEXT

        def dump(self, obj: str) -> bytes:
            """The bare bytes, for protocols that bind."""
            return obj.encode()

        def quote(self, obj: str) -> bytes:
            """The literal."""
            return quoted(str(obj)).encode()

    class ExpressionDumper(Dumper):
        """Values that write their own SQL."""

        format = Format.TEXT

        def dump(self, obj: Any) -> bytes:
            """The expression: only client-side binding is used."""
            return self.quote(obj)

        def quote(self, obj: Any) -> bytes:
            """The expression."""
            text: str = obj.sql()
            return text.encode()

    def register_literals(connection: Any) -> None:
        """Let a psycopg 3 connection write text, bytes and JSON as Redshift reads them."""
        connection.adapters.register_dumper(str, TextDumper)
        connection.adapters.register_dumper(Varbyte, ExpressionDumper)
        connection.adapters.register_dumper(SuperValue, ExpressionDumper)

else:
    from psycopg2.extensions import AsIs, register_adapter

    # psycopg2's own adapter of text doubles backslashes without E'...' where a server reports no
    # standard_conforming_strings, as Redshift does not.
    register_adapter(Varbyte, lambda value: AsIs(value.sql()))
    register_adapter(SuperValue, lambda value: AsIs(value.sql()))

    def register_literals(connection: Any) -> None:
        """Nothing is left to do for a psycopg2 connection."""
