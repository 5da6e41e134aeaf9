"""Test databases of the logical database: those of its shards and its directory."""

from __future__ import annotations

import sys
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.creation import BaseDatabaseCreation

from horizon_shards.backends.sharded.once import OnceCreation
from horizon_shards.directory.connection import keep_none

#: In ``TEST``: ``{alias: name of the test database}``, for worker processes that are not forked.
MADE = "MADE_FOR_SHARDS"


class DatabaseCreation(BaseDatabaseCreation):
    """Makes the test databases that the logical one needs and that are not made yet, and takes those away again.

    Django makes only what tests name in ``databases``. Whatever else they could reach through the logical
    database would be the developer's own: so the shards, the directory, and the default database, which data
    migrations use, are made here.
    """

    def __init__(self, connection: Any) -> None:
        super().__init__(connection)
        self.logical = connection
        self.made: list[OnceCreation] = []
        self._real_names: dict[str, str] = {}
        # Without it Django demands that some test names the default database.
        connection.settings_dict.get("TEST", {}).setdefault("DEPENDENCIES", [])

    def _storage(self) -> list[Any]:
        """The connections behind the logical one, in the order in which they need each other."""
        config = self.logical.group.config
        primaries = [shard.primary for shard in config.shards]
        aliases = dict.fromkeys([DEFAULT_DB_ALIAS, config.directory, *primaries])
        # The default database may be this very one.
        return [connections[alias] for alias in aliases if alias not in (None, self.logical.alias)]

    def _get_test_db_name(self) -> str:
        return str(self.connection.settings_dict["NAME"])

    def test_db_signature(self) -> tuple[str, ...]:  # type: ignore[override]
        """Its own alias: a logical database is never the same as another.

        Django asks for it before it makes any database: this is when the real names are known.
        """
        self._real_names = {other.alias: other.settings_dict["NAME"] for other in self._storage()}
        if (directory := self.logical.group.config.directory) is not None:
            keep_none(directory)
        return ("horizon_shards", self.connection.alias)

    def create_test_db(
        self, verbosity: int = 1, autoclobber: bool = False, serialize: bool | None = None, keepdb: bool = False
    ) -> str:
        """Make and migrate every test database that is not made yet in this run."""
        for connection in self._storage():
            name = connection.settings_dict["NAME"]
            if name != self._real_names.get(connection.alias, name):
                continue
            if verbosity >= 1:
                sys.stderr.write(f"{self.connection.alias!r} needs {connection.alias!r}:\n")
            once = OnceCreation(connection)
            once.make(verbosity=verbosity, autoclobber=autoclobber, keepdb=keepdb)
            self.made.append(once)
        self._note_made()
        if serialize:
            self.logical._test_serialized_contents = self.serialize_db_to_string()
        return self._get_test_db_name()

    def destroy_test_db(
        self, old_database_name: str | None = None, verbosity: int = 1, keepdb: bool = False, suffix: str | None = None
    ) -> None:
        """Take away what :meth:`create_test_db` made (or the clones of a parallel worker)."""
        if suffix is not None:
            for once in self.made:
                once.original.destroy_test_db(suffix=suffix, verbosity=verbosity, keepdb=keepdb)
            return
        while self.made:
            self.made.pop().drop(verbosity, keepdb)
        self._note_made()

    def clone_test_db(self, suffix: str, verbosity: int = 1, autoclobber: bool = False, keepdb: bool = False) -> None:
        """Clone what was made here; Django clones the others itself."""
        for once in self.made:
            once.original.clone_test_db(suffix=suffix, verbosity=verbosity, autoclobber=autoclobber, keepdb=keepdb)

    def setup_worker_connection(self, _worker_id: int) -> None:
        """Connect a worker to its clones of what was made here; Django does it for the aliases that tests name."""
        for once in self.made:
            if once.others == 0:
                once.original.setup_worker_connection(_worker_id)
        if not self.made:
            self._setup_noted(_worker_id)

    def _setup_noted(self, worker_id: int) -> None:
        """In a process that was not forked: the names come with the settings that Django hands over."""
        for alias, name in self.connection.settings_dict["TEST"].get(MADE, {}).items():
            connections[alias].settings_dict["NAME"] = name
            connections[alias].creation.setup_worker_connection(worker_id)

    def _note_made(self) -> None:
        self.connection.settings_dict["TEST"][MADE] = {
            once.connection.alias: once.connection.settings_dict["NAME"] for once in self.made
        }

    def get_test_db_clone_settings(self, suffix: str) -> dict[str, Any]:
        """The settings of a logical database do not change: its shards' do."""
        return dict(self.connection.settings_dict)
