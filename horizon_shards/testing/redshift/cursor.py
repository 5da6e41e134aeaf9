"""The cursor under Django's: check, translate, execute, remember."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.db.backends.postgresql.base import Cursor as PostgreSQLCursor
from django.db.backends.postgresql.base import Database as Driver
from django.db.backends.postgresql.psycopg_any import is_psycopg3

from horizon_shards.testing.redshift.bulk.engine import engine_of
from horizon_shards.testing.redshift.bulk.files import S3, Files
from horizon_shards.testing.redshift.catalogue import remember
from horizon_shards.testing.redshift.check import RedshiftRefuses, Refusal, check_sql
from horizon_shards.testing.redshift.lexer import skeleton, statements
from horizon_shards.testing.redshift.tables import translate_ddl
from horizon_shards.testing.redshift.translate import to_postgresql, without_escape_mark

#: Commands that Redshift does not run in a transaction block.
ALONE = re.compile(
    r"^(CREATE|DROP) DATABASE\b|^VACUUM\b|^ALTER TABLE\b.*\b(APPEND FROM|ALTER COLUMN \S+ TYPE)\b"
    r"|^(CREATE|DROP) EXTERNAL\b"
)
QUERY_GROUP = re.compile(r"(?is)^\s*(?:SET\s+query_group\s+(?:TO|=)\s+(.+)|RESET\s+query_group\s*)$")
CONTROL = re.compile(r"(?i)\s*(BEGIN|START|COMMIT|END|ROLLBACK|ABORT)\b")
DECLARE = re.compile(r"^DECLARE\b")
BYTES = re.compile(r"rs_bytes_(\d+)_")


class StrictCursor(PostgreSQLCursor):
    """Executes what Redshift would accept, on PostgreSQL; refuses the rest with the rule."""

    #: The last statement, as Redshift would have got it.
    asked: str | None = None

    @staticmethod
    def files() -> Files:
        """Where COPY and UNLOAD read and write."""
        return S3()

    def execute(self, query: Any, params: Any = None, **kwargs: Any) -> Any:
        """Check all statements of a string, then translate and run them; the last one's rows are there to fetch."""
        self.asked = self._as_redshift_gets_it(str(query), params)
        parts = [sql for _, sql in statements(self.asked)]
        for sql in parts:
            self._check(sql, alone=len(parts) == 1)
        with self._one_transaction(parts):
            for sql in parts:
                self._translated(sql, **kwargs)
        return self

    @contextmanager
    def _one_transaction(self, parts: list[str]) -> Iterator[None]:
        """The server runs the statements of one string in one transaction, unless they say otherwise themselves."""
        if len(parts) < 2 or not self.connection.autocommit or any(CONTROL.match(sql) for sql in parts):
            yield
            return
        super().execute("BEGIN")
        try:
            yield
        except BaseException:
            self._beside("ROLLBACK")
            raise
        self._beside("COMMIT")

    def _beside(self, sql: str) -> list[Any]:
        """The rows of a statement on another cursor: those of the last one stay."""
        plain: Any = PostgreSQLCursor
        with plain(self.connection) as cursor:
            cursor.execute(sql)
            return list(cursor.fetchall()) if cursor.description else []

    def _translated(self, sql: str, **kwargs: Any) -> None:
        if (engine := engine_of(sql)) is not None:
            engine(self, sql)
            return
        translated, said = translate_ddl(sql)
        if match := QUERY_GROUP.match(sql):
            translated = f"SELECT set_config('rs.query_group', {match[1] or chr(39) * 2}, false)"
        if translated:
            self._run(to_postgresql(translated), **kwargs)
        if said is not None:
            remember(self.plainly, said)

    def executemany(self, query: Any, params_seq: Any, **kwargs: Any) -> None:
        """One after the other, as the drivers do."""
        for params in params_seq:
            self.execute(query, params, **kwargs)

    def _as_redshift_gets_it(self, query: str, params: Any) -> str:
        if params is None:
            return query
        written: Any = self.mogrify(query, params)
        text = written if isinstance(written, str) else written.decode()
        # psycopg2 sees a PostgreSQL that says how it reads backslashes; Redshift does not say.
        return text if is_psycopg3 or "E''" in skeleton(query) else without_escape_mark(text)

    def _check(self, sql: str, *, alone: bool) -> None:
        refusals = check_sql(sql)
        if not (alone and self.connection.autocommit) and ALONE.search(skeleton(sql)):
            page = "r_SVL_MULTI_STATEMENT_VIOLATIONS.html"
            refusals.append(Refusal("in-transaction", f"This does not run in a transaction block ({page})."))
        if DECLARE.search(skeleton(sql)) and self._has_open_cursor():
            refusals.append(Refusal("second-cursor", "A session has one open cursor: CLOSE it first (declare.html)."))
        if refusals:
            raise RedshiftRefuses(refusals, sql)

    def _has_open_cursor(self) -> bool:
        return bool(self._beside("SELECT 1 FROM pg_catalog.pg_cursors LIMIT 1"))

    def _run(self, sql: str, **kwargs: Any) -> Any:
        try:
            return super().execute(sql, **kwargs)
        except Driver.IntegrityError as error:
            if match := BYTES.search(str(error)):
                raise Driver.DataError(f"value too long for type character varying({match[1]})") from error
            raise

    def plainly(self, sql: str, params: Sequence[Any] | None) -> None:
        """Run a statement of PostgreSQL as it is."""
        super().execute(sql, params)
