"""Keeps Django from making, and above all from dropping, a database a second time in one test run."""

from __future__ import annotations

from typing import Any


class OnceCreation:
    """Stands over the ``creation`` of a physical connection whose test database a logical one has made.

    A test may name ``track_1`` beside ``track``. Django then makes and destroys ``track_1`` too, and destroying
    twice drops the developer's own database: the first time puts the real name back.
    """

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.original = connection.creation
        self.real_name = connection.settings_dict["NAME"]
        #: How often Django has asked for the database and not yet given it back.
        self.others = 0
        self._is_over = False

    def __getattr__(self, name: str) -> Any:
        if name == "original":
            raise AttributeError(name)
        return getattr(self.original, name)

    def make(self, **options: Any) -> None:
        """Make the test database; from here on Django's own calls do nothing."""
        self.original.create_test_db(**options)
        self.connection.creation = self

    def drop(self, verbosity: int, keepdb: bool) -> None:
        """Take the test database away and put the real name back."""
        self.original.destroy_test_db(self.real_name, verbosity, keepdb)
        self._is_over = True
        self._leave_if_unused()

    def create_test_db(self, *args: Any, **kwargs: Any) -> str:
        """Django's call: the database is there already."""
        if self._is_over:
            self.connection.creation = self.original
            return str(self.original.create_test_db(*args, **kwargs))
        self.others += 1
        return str(self.connection.settings_dict["NAME"])

    def destroy_test_db(
        self, old_database_name: str | None = None, verbosity: int = 1, keepdb: bool = False, suffix: str | None = None
    ) -> None:
        """Django's call: the logical database destroys what it made, and the clones."""
        if suffix is None:
            self.others -= 1
            self._leave_if_unused()

    def clone_test_db(self, *args: Any, **kwargs: Any) -> None:
        """Django's call: the logical database has cloned it."""

    def _leave_if_unused(self) -> None:
        if self._is_over and self.others <= 0:
            self.connection.creation = self.original
