"""COPY: all rows or none, with the reasons in ``stl_load_errors``."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from django.db.backends.postgresql.base import Database as Driver

from horizon_shards.testing.redshift.bulk.files import Files, objects, split, unpacked
from horizon_shards.testing.redshift.bulk.options import Bulk
from horizon_shards.testing.redshift.bulk.rows import Column, Row, Wrong, rows_of

#: PostgreSQL's state of an error: Redshift's code and reason.
CODES = {
    "22001": Wrong(1204, "String length exceeds DDL length"),
    "23514": Wrong(1204, "String length exceeds DDL length"),
    "22P02": Wrong(1207, "Invalid value for the type of the column"),
    "22003": Wrong(1216, "Overflow for the type of the column"),
    "22007": Wrong(1206, "Invalid timestamp format or value"),
    "22008": Wrong(1206, "Invalid timestamp format or value"),
    "23502": Wrong(1213, "Missing data for not-null field"),
}
BATCH = 500


BYTES = re.compile(r"rs_bytes_\d+_(.*)")


class Failure(NamedTuple):
    """A row of ``stl_load_errors``."""

    file: str
    row: Row
    column: str
    wrong: Wrong


class Loader:
    """Loads files into a table, by a function that runs SQL of PostgreSQL in a transaction."""

    def __init__(self, run: Callable[[str, Sequence[Any]], list[Any]], files: Files, bulk: Bulk) -> None:
        self._run, self._files, self._bulk = run, files, bulk
        self.failures: list[Failure] = []

    def load(self) -> int:
        """The number of rows; stops where there are more failures than are allowed."""
        count, columns = 0, self._columns()
        for name, content in self._contents():
            rows = list(rows_of(content, self._bulk, columns, self._paths()))
            for start in range(0, len(rows), BATCH):
                count += self._insert(name, rows[start : start + BATCH], columns)
                if self.too_many:
                    return 0
        return count

    @property
    def too_many(self) -> bool:
        """Whether nothing is to be loaded at all."""
        return len(self.failures) > int(self._bulk.values.get("MAXERROR", 0))

    def _columns(self) -> list[Column]:
        found = self._run(
            "SELECT attname, pg_catalog.format_type(atttypid, NULL) FROM pg_catalog.pg_attribute "
            f"WHERE attrelid = '{self._bulk.table}'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
            [],
        )
        known = {name: Column(name, kind) for name, kind in found}
        return [known[name] for name in self._bulk.columns] if self._bulk.columns else [*known.values()]

    def _paths(self) -> list[str] | None:
        if not self._bulk.paths.startswith("s3://"):
            return None
        found: list[str] = json.loads(self._files.read(*split(self._bulk.paths)))["jsonpaths"]
        return found

    def _contents(self) -> Iterator[tuple[str, bytes]]:
        found = [*self._listed()] if "MANIFEST" in self._bulk.flags else [*objects(self._files, self._bulk.url)]
        if not found:
            raise Driver.InternalError(f"The specified S3 prefix '{split(self._bulk.url)[1]}' does not exist")
        for bucket, key in found:
            yield f"s3://{bucket}/{key}", unpacked(self._files.read(bucket, key), self._bulk.compression)

    def _listed(self) -> Iterator[tuple[str, str]]:
        manifest = json.loads(self._files.read(*split(self._bulk.url)))
        for entry in manifest["entries"]:
            bucket, key = split(entry["url"])
            if key in self._files.names(bucket, key):
                yield bucket, key
            elif entry.get("mandatory"):
                raise Driver.InternalError(f"Problem reading manifest file - S3 key '{key}' does not exist")

    def _insert(self, file: str, rows: list[Row], columns: list[Column]) -> int:
        whole = not any(isinstance(row.values, Wrong) for row in rows)
        if whole and self._try(rows, columns) is None:
            return len(rows)
        count = 0
        for row in rows:
            failure = self._one(file, row, columns)
            if failure is None:
                count += 1
                continue
            self.failures.append(failure)
            if self.too_many:
                break
        return count

    def _one(self, file: str, row: Row, columns: list[Column]) -> Failure | None:
        if isinstance(row.values, Wrong):
            return Failure(file, row, "", row.values)
        error = self._try([row], columns)
        if error is None:
            return None
        wrong = CODES.get(_state(error), Wrong(1224, str(error).splitlines()[0]))
        return Failure(file, row, _named(error) or self._guilty(row, columns), wrong)

    def _try(self, rows: list[Row], columns: list[Column]) -> Any:
        names = ", ".join('"' + column.name.replace('"', '""') + '"' for column in columns)
        places = ", ".join([f"({', '.join(['%s'] * len(columns))})"] * len(rows))
        values = [value for row in rows for value in row.values]
        self._run("SAVEPOINT rs_copy", [])
        try:
            self._run(f"INSERT INTO {self._bulk.table} ({names}) VALUES {places}", values)
        except Driver.Error as error:
            self._run("ROLLBACK TO SAVEPOINT rs_copy", [])
            return error
        self._run("RELEASE SAVEPOINT rs_copy", [])
        return None

    def _guilty(self, row: Row, columns: list[Column]) -> str:
        """The first column whose type does not take its value."""
        given = zip(columns, row.values, strict=True)
        return next((column.name for column, value in given if value is not None and self._refuses(column, value)), "")

    def _refuses(self, column: Column, value: Any) -> bool:
        name = '"' + column.name.replace('"', '""') + '"'
        self._run("SAVEPOINT rs_copy", [])
        try:
            self._run(f"CREATE TEMPORARY TABLE rs_one AS SELECT {name} FROM {self._bulk.table} WHERE false", [])
            self._run(f"INSERT INTO rs_one ({name}) VALUES (%s)", [value])
        except Driver.Error:
            return True
        finally:
            self._run("ROLLBACK TO SAVEPOINT rs_copy", [])
        return False


def _state(error: Any) -> str:
    return getattr(error, "sqlstate", None) or getattr(error, "pgcode", None) or ""


def _named(error: Any) -> str:
    """The column that PostgreSQL names, or the constraint on the bytes of its text."""
    match = BYTES.fullmatch(error.diag.constraint_name or "")
    return match[1] if match else error.diag.column_name or ""
