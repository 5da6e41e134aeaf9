"""The private database of shards on servers: what SQLite would compute otherwise, the servers compute themselves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django.db.backends.sqlite3.base import DatabaseWrapper
from django.db.backends.sqlite3.operations import DatabaseOperations
from django.db.models import BinaryField
from django.db.models.expressions import Col

from horizon_shards.backends.sharded.federation.checked import checked
from horizon_shards.backends.sharded.federation.private import ALIAS, SETTINGS, PrivateDatabase
from horizon_shards.backends.sharded.federation.storage import (
    connection_of,
    is_equatable,
    kept,
    kind_of,
    stored_as,
)
from horizon_shards.backends.sharded.keys import FilledUp
from horizon_shards.backends.sharded.kinds import output_field
from horizon_shards.backends.sharded.order import Comparable
from horizon_shards.backends.sharded.partials import Templated
from horizon_shards.backends.sharded.selected import WHOLE
from horizon_shards.exceptions import QueryNotSupported

AFFINITIES = {**dict.fromkeys((*WHOLE, "BooleanField", "DurationField"), "integer"), "BinaryField": "blob"}


class ServedColumn:
    """A column that holds what the table's own database computes of each row."""

    primary_key = unique = is_relation = db_index = False

    def __init__(self, name: str, alias: str, expression: Any, key: Any = None) -> None:
        self.key = key
        self.column = name
        self.alias = alias
        self.expression = expression

    def get_col(self, alias: str) -> Any:
        """The expression that computes it of the table under this alias."""
        if isinstance(self.expression, Templated):
            inner = self.expression.inner.relabeled_clone({self.alias: alias})
            return Templated(self.expression.template, inner)
        return self.expression.relabeled_clone({self.alias: alias})


class Served(Col):
    """Stands in the private database's SQL for an expression."""

    def __init__(self, alias: str, column: ServedColumn, output: Any) -> None:
        super().__init__(alias, column, output)  # type: ignore[arg-type]


class ServersPrivateDatabase(PrivateDatabase):
    """Tables with values as SQLite compares them alike, with tokens for others, and with what servers have computed."""

    def __init__(self, logical: Any, refusal: Exception) -> None:
        super().__init__(logical.lead)
        self.logical = logical
        #: Why no shard could answer.
        self.refusal = QueryNotSupported(str(refusal))
        #: The queries that are being compiled, the outermost first.
        self.scopes: list[Any] = []
        #: ``{table: columns}`` that were asked for while compiling.
        self.served: dict[str, list[ServedColumn]] = {}
        #: What tokens stand for.
        self.values: list[Any] = []

    def connection_like(self, lead: Any) -> Any:
        """A connection whose compilers ask for columns of this database."""
        connection = _Connection({**SETTINGS}, ALIAS)
        connection.private = self
        return connection

    def serve(self, expression: Any, *, alias: str, table: str, output: Any = None, key: Any = None) -> Served:
        """The column for an expression on one table."""
        columns = self.served.setdefault(table, [])
        for column in columns:
            if column.alias == alias and column.expression is expression:
                return Served(alias, column, output)
        column = ServedColumn(f"served_{len(columns)}", alias, expression, key)
        columns.append(column)
        return Served(alias, column, output or output_field(expression))

    def weight(self, expression: Any, how: Comparable, *, alias: str, table: str) -> Served:
        """The column for the server's own sort key of a text."""
        selected = Templated(str(how.sql), expression)
        return self.serve(selected, alias=alias, table=table, output=BinaryField(), key=how.key)

    def create_tables_of(self, sql: str, models: Any) -> None:
        """Create the tables anew: compiling may have asked for more columns since."""
        for table in list(self.columns):
            self.run(f"DROP TABLE {self.connection.ops.quote_name(table)}")
        self.columns.clear()
        super().create_tables_of(sql, models)

    def fields_of(self, model: Any) -> list[Any]:
        """The columns of a table, and those that its servers compute."""
        return [*super().fields_of(model), *self.served.get(model._meta.db_table, [])]

    def _type(self, field: Any) -> str:
        expression = self._expression(field)
        if isinstance(expression, Templated):
            return "blob"
        store = stored_as(expression, self.logical)
        # Another affinity would make numbers of texts.
        return "integer" if store is None else AFFINITIES.get(kind_of(expression), "text")

    def insert(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Store rows as a driver of the servers gave them."""
        stores = [self._store(self.columns[table][column]) for column in columns]
        stored = ([store(value) for store, value in zip(stores, row, strict=True)] for row in rows)
        super().insert(table, columns, stored)

    def _expression(self, field: Any) -> Any:
        return field.expression if isinstance(field, ServedColumn) else field.get_col(field.model._meta.db_table)

    def _store(self, field: Any) -> Any:
        expression = self._expression(field)
        if isinstance(expression, Templated):
            return lambda value: None if value is None else _weights(field.key(value))
        store, home = stored_as(expression, self.logical), connection_of(expression, self.logical)
        how = self._token if store is None else lambda value: store(value, home)
        return lambda value: None if value is None else how(value)

    def _token(self, value: Any) -> int:
        self.values.append(value)
        return len(self.values) - 1

    def untoken(self, token: Any, expression: Any, connection: Any) -> Any:
        """What a token stands for."""
        return None if token is None else self.values[token]


def _weights(key: Any) -> bytes:
    return bytes(key.weights if isinstance(key, FilledUp) else key)


class _Operations(DatabaseOperations):
    def compiler(self, compiler_name: str) -> Any:
        """Django's compiler for SQLite, which says what SQLite cannot answer alike."""
        return checked(super().compiler(compiler_name))  # type: ignore[arg-type]

    def get_db_converters(self, expression: Any) -> list[Any]:
        """Of a token, those of the database that the value is from."""
        private = self.connection.private  # type: ignore[attr-defined]
        source = kept(expression)
        if source is None or is_equatable(source, private.logical):
            return super().get_db_converters(expression)
        home = connection_of(source, private.logical)
        return [private.untoken, *(_as_of(home, one) for one in home.ops.get_db_converters(expression))]


def _as_of(home: Any, converter: Any) -> Any:
    return lambda value, expression, connection: converter(value, expression, home)


class _Connection(DatabaseWrapper):
    ops_class = _Operations
    private: Any = None
