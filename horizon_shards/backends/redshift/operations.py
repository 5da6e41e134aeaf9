"""SQL that Redshift writes in another way than PostgreSQL."""

from __future__ import annotations

import datetime
import json
import re
import uuid
from collections.abc import Iterable, Sequence
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import NotSupportedError
from django.db.backends.base.operations import BaseDatabaseOperations
from django.db.backends.postgresql.operations import DatabaseOperations as PostgreSQLOperations
from django.db.models import Model
from django.utils.duration import duration_microseconds

from horizon_shards.backends.redshift.literals import SuperValue, literal

#: A statement may have 16 MB; the rest is left for the names of the columns and the quotes.
MAX_STATEMENT_BYTES = 16 * 1024 * 1024
ROOM_FOR_VALUES = 15 * 1024 * 1024

SQL = tuple[str, tuple[Any, ...]]

TEXT_TYPES = {"CharField", "FileField", "FilePathField", "GenericIPAddressField", "IPAddressField", "SlugField"} | {
    "TextField",
    "UUIDField",
    None,
}
PATTERN_LOOKUPS = {"iexact", "contains", "icontains", "startswith", "istartswith", "endswith", "iendswith"} | {
    "regex",
    "iregex",
}


class DatabaseOperations(PostgreSQLOperations):
    """Redshift's dialect, where the ORM leaves it to the backend."""

    compiler_module = "horizon_shards.backends.redshift.compiler"
    explain_options = frozenset(["VERBOSE"])
    cast_data_types = {"AutoField": "integer", "BigAutoField": "bigint", "SmallAutoField": "smallint"}

    def max_name_length(self) -> int:
        """Identifiers have up to 127 bytes."""
        return 127

    # ---- rows ----------------------------------------------------------------------------------------------------

    def bulk_batch_size(self, fields: Sequence[Any], objs: Iterable[Any]) -> int:
        """As many rows as surely fit into one statement of 16 MB."""
        rows = list(objs)
        names = [name for field in fields if (name := getattr(field, "attname", None))]
        widest = max((_width(row, names) for row in rows), default=0)
        allowed = super().bulk_batch_size(fields, rows)  # the driver's number of parameters, where that has a limit
        return max(1, min(allowed, ROOM_FOR_VALUES // max(widest, 1)))

    def bulk_insert_sql(self, fields: Any, placeholder_rows: Any) -> str:
        """Rows of VALUES: there is no UNNEST."""
        return BaseDatabaseOperations.bulk_insert_sql(self, fields, placeholder_rows)

    def last_insert_id(self, cursor: Any, table_name: str, pk_name: str) -> Any:
        """The greatest key of the table: only where ``OPTIONS["primary_keys"]`` is ``"max"``."""
        cursor.execute(f"SELECT MAX({self.quote_name(pk_name)}) FROM {self.quote_name(table_name)}")
        return cursor.fetchone()[0]

    def on_conflict_suffix_sql(self, *args: Any, **kwargs: Any) -> str:
        """Nothing: the features refuse conflicts before."""
        return BaseDatabaseOperations.on_conflict_suffix_sql(self, *args, **kwargs)

    def deferrable_sql(self) -> str:
        """No constraint is deferred."""
        return ""

    def sql_flush(
        self, style: Any, tables: Any, *, reset_sequences: bool = False, allow_cascade: bool = False
    ) -> list[str]:
        """DELETE for each table: TRUNCATE would commit the transaction."""
        return [f"{style.SQL_KEYWORD('DELETE FROM')} {style.SQL_FIELD(self.quote_name(name))};" for name in tables]

    def sequence_reset_sql(self, style: Any, model_list: Any) -> list[str]:
        """There are no sequences."""
        return []

    def sequence_reset_by_name_sql(self, style: Any, sequences: Any) -> list[str]:
        """There are no sequences."""
        return []

    def compose_sql(self, sql: str, params: Any) -> str:
        """A statement with its values written into it: for DDL, and without a connection."""
        return sql % tuple(literal(value) for value in params) if params else sql

    # ---- reading -------------------------------------------------------------------------------------------------

    def distinct_sql(self, fields: Any, params: Any) -> Any:
        """DISTINCT, but not of some columns."""
        if fields:
            raise NotSupportedError("Redshift has no DISTINCT ON: number the rows by a window and keep the first.")
        return ["DISTINCT"], []

    def explain_query_prefix(self, format: str | None = None, **options: Any) -> str:
        """EXPLAIN, or EXPLAIN VERBOSE."""
        verbose = options.pop("verbose", options.pop("VERBOSE", False))
        prefix = BaseDatabaseOperations.explain_query_prefix(self, format, **options)
        return f"{prefix} VERBOSE" if verbose else prefix

    def lookup_cast(self, lookup_type: str, internal_type: str | None = None) -> str:
        """Text lookups of other types compare their text."""
        lookup = "%s"
        if lookup_type in PATTERN_LOOKUPS and internal_type not in TEXT_TYPES:
            lookup = "CAST(%s AS VARCHAR)"
        return f"UPPER({lookup})" if lookup_type in {"iexact", "icontains", "istartswith", "iendswith"} else lookup

    def regex_lookup(self, lookup_type: str) -> str:
        """There is no ``~*``."""
        return "REGEXP_INSTR(%s, %s, 1, 1, 0, 'i') > 0" if lookup_type == "iregex" else "%s ~ %s"

    def prepare_join_on_clause(self, lhs_table: Any, lhs_field: Any, rhs_table: Any, rhs_field: Any) -> Any:
        """No cast around a join column, which would keep the join from staying on one node, but of text to number."""
        join = (lhs_table, lhs_field, rhs_table, rhs_field)
        texts = [
            str(field.db_type(self.connection)).startswith(("varchar", "char")) for field in (lhs_field, rhs_field)
        ]
        if texts[0] != texts[1]:
            return super().prepare_join_on_clause(*join)
        return BaseDatabaseOperations.prepare_join_on_clause(self, *join)

    def unification_cast_sql(self, output_field: Any) -> str:
        """Arms of a union say the types that are stored as others."""
        if output_field.get_internal_type() == "TimeField":
            return "CAST(%s AS time)"
        return "%s"

    # ---- dates and times -----------------------------------------------------------------------------------------

    def date_extract_sql(self, lookup_type: str, sql: str, params: Any) -> Any:
        """ISO weekday and ISO year are no date parts of Redshift."""
        if lookup_type == "iso_week_day":
            return f"(MOD(CAST(EXTRACT(DOW FROM {sql}) AS INTEGER) + 6, 7) + 1)", params
        if lookup_type == "iso_year":
            return f"EXTRACT(YEAR FROM DATE_TRUNC('week', {sql}) + INTERVAL '3 day')", params
        return super().date_extract_sql(lookup_type, sql, params)

    def date_trunc_sql(self, lookup_type: str, sql: str, params: Any, tzname: str | None = None) -> SQL:
        """A date, as the column is one."""
        sql, params = super().date_trunc_sql(lookup_type, sql, params, tzname)
        return f"CAST({sql} AS DATE)", tuple(params)

    def datetime_extract_sql(self, lookup_type: str, sql: str, params: Any, tzname: str | None) -> Any:
        """Seconds without their fraction."""
        sql, params = self._convert_sql_to_tz(sql, params, tzname)
        if lookup_type == "second":
            return f"FLOOR(EXTRACT(SECOND FROM {sql}))", params
        return self.date_extract_sql(lookup_type, sql, params)

    def time_extract_sql(self, lookup_type: str, sql: str, params: Any) -> Any:
        """DATE_TRUNC takes no TIME, so seconds are rounded down."""
        if lookup_type == "second":
            return f"FLOOR(EXTRACT(SECOND FROM {sql}))", params
        return self.date_extract_sql(lookup_type, sql, params)

    def time_trunc_sql(self, lookup_type: str, sql: str, params: Any, tzname: str | None = None) -> SQL:
        """The time of a truncated timestamp: DATE_TRUNC takes no TIME."""
        sql, params = self._convert_sql_to_tz(sql, params, tzname)
        clock = f"CAST({sql} AS TIME)"
        return f"CAST(DATE_TRUNC(%s, CAST('1970-01-01' AS DATE) + {clock}) AS TIME)", (lookup_type, *params)

    def subtract_temporals(self, internal_type: str, lhs: Any, rhs: Any) -> SQL:
        """Microseconds, as durations are stored."""
        (lhs_sql, lhs_params), (rhs_sql, rhs_params) = lhs, rhs
        kind = {"DateField": "DATE", "TimeField": "TIME"}.get(internal_type, "TIMESTAMP")
        if kind == "TIMESTAMP" and settings.USE_TZ:
            kind = "TIMESTAMPTZ"
        sql = f"DATEDIFF(microsecond, CAST({rhs_sql} AS {kind}), CAST({lhs_sql} AS {kind}))"
        return sql, (*rhs_params, *lhs_params)

    # ---- values --------------------------------------------------------------------------------------------------

    def adapt_integerfield_value(self, value: Any, internal_type: str) -> Any:
        """A plain number."""
        return value

    def adapt_durationfield_value(self, value: Any) -> Any:
        """Microseconds."""
        return None if value is None else duration_microseconds(value)

    def adapt_ipaddressfield_value(self, value: Any) -> Any:
        """Addresses are text."""
        return value or None

    def adapt_json_value(self, value: Any, encoder: Any) -> SuperValue:
        """JSON is parsed by the server."""
        return SuperValue(json.dumps(value, cls=encoder))

    def convert_durationfield_value(self, value: Any, expression: Any, connection: Any) -> Any:
        """Sums and averages come as decimals."""
        return None if value is None else datetime.timedelta(microseconds=int(value))

    def get_db_converters(self, expression: Any) -> list[Any]:
        """What the driver gives is not always the field's own type."""
        converters = list(super().get_db_converters(expression))
        kind = expression.output_field.get_internal_type()
        if kind == "UUIDField":
            converters.append(_to_uuid)
        elif kind == "BinaryField":
            converters.append(_to_bytes)
        elif kind == "BooleanField":
            converters.append(_to_bool)
        return converters

    def check_expression_support(self, expression: Any) -> None:
        """Refuse what has no counterpart, with the cure."""
        name = type(expression).__name__
        if reason := REFUSED.get(name):
            raise NotSupportedError(reason)
        super().check_expression_support(expression)

    def identity_sql(self, *, always: bool, seed: int) -> str:
        """The suffix of an automatic number that begins with ``seed``."""
        return f"IDENTITY({seed}, 1)" if always else f"GENERATED BY DEFAULT AS IDENTITY({seed}, 1)"

    def check_option(self, name: str, known: Sequence[str]) -> str:
        """The value of an option of ours, or the first of the known ones."""
        value = self.connection.settings_dict["OPTIONS"].get(name, known[0])
        if value not in known:
            raise ImproperlyConfigured(
                f"DATABASES[{self.connection.alias!r}]['OPTIONS'][{name!r}] is {value!r}; known are {', '.join(known)}."
            )
        return str(value)


#: Expressions without a counterpart, by class name (some exist in newer Djangos only).
REFUSED = {
    "BitXor": "Redshift has no BIT_XOR aggregate.",
    "UUID4": "Redshift makes no UUIDs: give the field default=uuid.uuid4.",
    "UUID7": "Redshift makes no UUIDs: give the field default=uuid.uuid4.",
    "RandomUUID": "Redshift makes no UUIDs: give the field default=uuid.uuid4.",
    "Collate": "Redshift has no collations in queries: compare with UPPER() or a case-insensitive column.",
}

_LITERAL_OVERHEAD = 40
_WIDTHS = {bool: 5, int: 20, float: 25, type(None): 4}


def _width(row: Any, names: Sequence[str]) -> int:
    """The bytes of a row of VALUES; of a plain value in a list, as ``in_bulk()`` makes one."""
    if not isinstance(row, Model):
        return _value_width(row)
    return sum(_value_width(row.__dict__.get(name)) for name in names) + 10


def _value_width(value: Any) -> int:
    """An upper bound of the bytes of a literal: a character has up to four, and may be doubled."""
    if (known := _WIDTHS.get(type(value))) is not None:
        return known
    if isinstance(value, (bytes, memoryview)):
        return 2 * len(value) + _LITERAL_OVERHEAD
    text = value if isinstance(value, str) else repr(value)
    extra = len(re.findall(r"[\\']", text))
    return (len(text) if text.isascii() else len(text.encode("utf-8", "replace")) * 2) + extra + _LITERAL_OVERHEAD


def _to_uuid(value: Any, expression: Any, connection: Any) -> Any:
    return uuid.UUID(value.strip()) if isinstance(value, str) else value


def _to_bytes(value: Any, expression: Any, connection: Any) -> Any:
    """Redshift sends VARBYTE as hexadecimal text."""
    if isinstance(value, str):
        return bytes.fromhex(value)
    return value


def _to_bool(value: Any, expression: Any, connection: Any) -> Any:
    return bool(value) if isinstance(value, int) else value
