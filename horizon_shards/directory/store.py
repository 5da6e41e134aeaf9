"""What a directory stores for one logical database, in portable SQL."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db import IntegrityError
from django.db.backends.base.base import BaseDatabaseWrapper

from horizon_shards.directory.connection import Identity, identity_of, transaction
from horizon_shards.directory.decisions import Decisions
from horizon_shards.directory.retry import run
from horizon_shards.directory.statements import chunks, fetch, insert
from horizon_shards.exceptions import ConfigurationError

ASSIGNMENT_TABLE = "horizon_shards_assignment"
BUCKET_TABLE = "horizon_shards_bucket"
BLOCK_TABLE = "horizon_shards_block"

LOOKUP = "SELECT key_text, shard FROM horizon_shards_assignment WHERE logical_database = %s AND key_text IN "
COUNTS = (
    "SELECT shard, COUNT(*) FROM horizon_shards_assignment WHERE logical_database = %s GROUP BY shard ORDER BY shard"
)
BUCKETS = "SELECT bucket, shard FROM horizon_shards_bucket WHERE logical_database = %s ORDER BY bucket"
NEXT = "SELECT next_number FROM horizon_shards_block WHERE logical_database = %s AND name = %s"
TAKE = "UPDATE horizon_shards_block SET next_number = next_number + %s WHERE logical_database = %s AND name = %s"
RAISE = (
    "UPDATE horizon_shards_block SET next_number = %s WHERE logical_database = %s AND name = %s AND next_number < %s"
)


@dataclass(frozen=True, slots=True)
class NewAssignment:
    """A row to store: the key as canonical text, the shard that is to hold it, its bucket, a readable label."""

    key: str
    shard: str
    bucket: int
    label: str


class Directory:
    """The stored assignments, bucket table and number blocks of the logical database ``database``.

    Keys are the ASCII texts of :func:`horizon_shards.mapping.hashing.stored_text`. Everything commits at
    once, on a connection of its own, whatever transaction the caller is in. Every method raises
    ``DirectoryUnavailable`` where the database does not answer.
    """

    def __init__(self, alias: str, *, database: str) -> None:
        self.alias = alias
        self.database = database

    def __repr__(self) -> str:
        return f"<Directory of {self.database!r} in {self.alias!r}>"

    @property
    def identity(self) -> Identity:
        """What tells this directory from others: the physical database and the logical one."""
        return (*identity_of(self.alias), self.database)

    @property
    def decisions(self) -> Decisions:
        """The log of decisions of transactions in two phases."""
        return Decisions(self.alias, database=self.database)

    def lookup(self, keys: Iterable[str]) -> dict[str, str]:
        """The shards of those keys that have an assignment."""
        wanted = sorted(set(keys))

        def work(connection: BaseDatabaseWrapper) -> dict[str, str]:
            return self._lookup(connection, wanted)

        return run(self.alias, work, write=False) if wanted else {}

    def assign(self, key: str, *, shard: str, bucket: int, label: str = "") -> str:
        """Store an assignment if the key has none; return the shard that holds the key from now on."""
        winners, _ = self.assign_many([NewAssignment(key, shard, bucket, label)])
        return winners[key]

    def assign_many(self, rows: Iterable[NewAssignment]) -> tuple[dict[str, str], frozenset[str]]:
        """Store what is not assigned yet; return the shard of every key, and the keys that were new."""
        # One order for all writers, so that two of them cannot wait for each other.
        wanted = sorted({row.key: row for row in rows}.values(), key=lambda row: row.key)

        def work(connection: BaseDatabaseWrapper) -> tuple[dict[str, str], frozenset[str]]:
            winners: dict[str, str] = {}
            created: set[str] = set()
            for chunk in chunks(wanted):
                self._assign_chunk(connection, chunk, winners, created)
            return winners, frozenset(created)

        return run(self.alias, work, write=True)

    def counts(self) -> dict[str, int]:
        """How many keys are assigned to each shard that has any."""

        def work(connection: BaseDatabaseWrapper) -> dict[str, int]:
            return dict(fetch(connection, COUNTS, [self.database]))

        return run(self.alias, work, write=False)

    def bucket_table(self) -> tuple[str, ...]:
        """The shard of each bucket, by bucket number; empty before it is seeded."""
        return run(self.alias, self._bucket_table, write=False)

    def seed_buckets(self, shards: Sequence[str]) -> tuple[str, ...]:
        """Store the first bucket table unless there is one; return the table that is in force."""

        def work(connection: BaseDatabaseWrapper) -> tuple[str, ...]:
            if not (table := self._bucket_table(connection)):
                self._seed(connection, shards)
                table = self._bucket_table(connection)
            return table

        return run(self.alias, work, write=True)

    def lease(self, name: str, size: int) -> range:
        """``size`` numbers that nobody else gets from the counter ``name``, the lowest never given out."""

        def work(connection: BaseDatabaseWrapper) -> range:
            end = self._take(connection, name, size)
            if end is None:
                self._start_counter(connection, name)
                end = self._take(connection, name, size)
            assert end is not None
            return range(end - size, end)

        return run(self.alias, work, write=True)

    def advance(self, name: str, *, past: int) -> None:
        """Let the counter ``name`` give out only numbers above ``past``, as after restoring an old backup."""

        def work(connection: BaseDatabaseWrapper) -> None:
            self._start_counter(connection, name)
            with connection.cursor() as cursor:
                cursor.execute(RAISE, [past + 1, self.database, name, past + 1])

        run(self.alias, work, write=True)

    def _lookup(self, connection: BaseDatabaseWrapper, keys: Sequence[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        for chunk in chunks(keys):
            places = ", ".join(["%s"] * len(chunk))
            found.update(fetch(connection, f"{LOOKUP}({places})", [self.database, *chunk]))
        return found

    def _assign_chunk(
        self,
        connection: BaseDatabaseWrapper,
        rows: Sequence[NewAssignment],
        winners: dict[str, str],
        created: set[str],
    ) -> None:
        """Insert all at once; where a key of them is taken, one by one; where one is taken, read its row."""
        try:
            self._insert_assignments(connection, rows)
        except IntegrityError:
            if len(rows) == 1:
                winners.update(self._lookup(connection, [rows[0].key]))
                return
            for row in rows:
                self._assign_chunk(connection, [row], winners, created)
        else:
            winners.update((row.key, row.shard) for row in rows)
            created.update(row.key for row in rows)

    def _insert_assignments(self, connection: BaseDatabaseWrapper, rows: Sequence[NewAssignment]) -> None:
        values = [(self.database, row.key, row.label, row.shard, row.bucket) for row in rows]
        insert(connection, ASSIGNMENT_TABLE, ("logical_database", "key_text", "label", "shard", "bucket"), values)

    def _bucket_table(self, connection: BaseDatabaseWrapper) -> tuple[str, ...]:
        rows = fetch(connection, BUCKETS, [self.database])
        if [bucket for bucket, _ in rows] != list(range(len(rows))):
            raise ConfigurationError(
                f"The bucket table of {self.database!r} in {self.alias!r} ({BUCKET_TABLE}) has holes: "
                f"{len(rows)} rows up to bucket {rows[-1][0]}. Restore it from a backup."
            )
        return tuple(shard for _, shard in rows)

    def _seed(self, connection: BaseDatabaseWrapper, shards: Sequence[str]) -> None:
        """All rows in one transaction that begins with bucket 0: whoever is second there has lost."""
        rows = [(self.database, bucket, shard) for bucket, shard in enumerate(shards)]
        try:
            with transaction(connection):
                for chunk in chunks(rows):
                    insert(connection, BUCKET_TABLE, ("logical_database", "bucket", "shard"), chunk)
        except IntegrityError:
            return

    def _take(self, connection: BaseDatabaseWrapper, name: str, size: int) -> int | None:
        with transaction(connection), connection.cursor() as cursor:
            cursor.execute(TAKE, [size, self.database, name])
            if cursor.rowcount == 0:
                return None
            # The update holds the row's lock until the commit: nobody can come between.
            cursor.execute(NEXT, [self.database, name])
            return int(cursor.fetchone()[0])

    def _start_counter(self, connection: BaseDatabaseWrapper, name: str) -> None:
        try:
            insert(connection, BLOCK_TABLE, ("logical_database", "name", "next_number"), [(self.database, name, 0)])
        except IntegrityError:
            return
