"""The strict local Redshift as a Django database: the backend's wrapper over a checking cursor on PostgreSQL."""

from __future__ import annotations

from typing import Any

from horizon_shards.backends.redshift.base import DatabaseWrapper as RedshiftWrapper
from horizon_shards.backends.redshift.operations import DatabaseOperations as RedshiftOperations
from horizon_shards.testing.redshift.bulk.files import S3, Folder
from horizon_shards.testing.redshift.catalogue import install
from horizon_shards.testing.redshift.cursor import PostgreSQLCursor, StrictCursor


class DatabaseOperations(RedshiftOperations):
    """Those of the backend; the log of queries shows what Redshift would have been sent."""

    def last_executed_query(self, cursor: Any, sql: Any, params: Any) -> str:
        """The statement before its translation."""
        return cursor.asked or str(super().last_executed_query(cursor, sql, params))

    def max_name_length(self) -> int:
        """PostgreSQL cuts longer names off."""
        return 63


class DatabaseWrapper(RedshiftWrapper):
    """``ENGINE = "horizon_shards.testing.redshift"``: the other settings name a PostgreSQL 15."""

    display_name = "strict local Redshift"
    ops_class = DatabaseOperations
    maintenance_database = "postgres"

    def get_connection_params(self) -> dict[str, Any]:
        """As for Redshift, but a local server needs no encryption."""
        params = super().get_connection_params()
        if "sslmode" not in self.settings_dict["OPTIONS"]:
            params["sslmode"] = "prefer"
        folder, endpoint = params.pop("s3_folder", None), params.pop("s3_endpoint", None)
        files = staticmethod(lambda: Folder(folder) if folder else S3(endpoint))
        return {**params, "cursor_factory": type("StrictCursor", (StrictCursor,), {"files": files})}

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """A connection to a database that has Redshift's functions and catalogue."""
        connection = super().get_new_connection(conn_params)
        if self.settings_dict["NAME"] is None:
            return connection  # of the server's own database, in which others are created
        try:
            with connection.cursor() as cursor:
                install(_Plain(cursor))
            connection.commit()
        except BaseException:
            connection.close()
            raise
        return connection


class _Plain:
    """A strict cursor that checks nothing: for what makes PostgreSQL a Redshift."""

    def __init__(self, cursor: Any) -> None:
        self._cursor = cursor

    def execute(self, sql: str) -> None:
        """Run as it is."""
        PostgreSQLCursor.execute(self._cursor, sql)

    def fetchone(self) -> Any:
        """A row."""
        return self._cursor.fetchone()
