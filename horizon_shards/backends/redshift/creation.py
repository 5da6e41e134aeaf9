"""Test databases on a Redshift cluster."""

from __future__ import annotations

from typing import Any

from django.db.backends.postgresql.creation import DatabaseCreation as PostgreSQLCreation


class DatabaseCreation(PostgreSQLCreation):
    """Databases are made without encoding and without template."""

    def sql_table_creation_suffix(self) -> str:
        """Redshift is UTF-8 throughout, and copies no database."""
        return ""

    def _clone_test_db(self, suffix: str, verbosity: int, keepdb: bool = False) -> Any:
        raise NotImplementedError("Redshift copies no database: run these tests without --parallel.")
