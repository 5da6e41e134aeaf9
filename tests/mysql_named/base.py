"""The wrapper of the engine; its vendor alone differs."""

from django.db.backends.base.validation import BaseDatabaseValidation
from django.db.backends.sqlite3.base import DatabaseWrapper as SQLiteWrapper


class Validation(BaseDatabaseValidation):
    """Asks the server, as that of MySQL does."""

    def check(self, **kwargs):
        self.connection.ensure_connection()
        return []


class DatabaseWrapper(SQLiteWrapper):
    vendor = "mysql"
    validation_class = Validation
