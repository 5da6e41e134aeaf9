"""One migration of a shard at a time, and none that waits for a table without end."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from typing import Any, ClassVar, Final

from django.db import Error, OperationalError, connections

POLL_SECONDS: Final = 0.2
PURPOSE: Final = "horizon_shards.migrate"


class Lock(ABC):
    """A lock of a database's server that lasts as long as the session ``connection``."""

    limit: ClassVar[str]
    unlimited: ClassVar[str]

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.name = str(connection.settings_dict["NAME"])

    @abstractmethod
    def keep_session(self) -> None:
        """Let the server not end the session for being idle."""

    @abstractmethod
    def take(self) -> bool:
        """Whether it is ours now."""

    @abstractmethod
    def is_held(self) -> bool:
        """Whether it is ours still."""

    def ask(self, sql: str, params: list[Any]) -> Any:
        """The first column of the only row."""
        with self.connection.cursor() as cursor:
            cursor.execute(sql, params)
            return cursor.fetchone()[0]


class MySQLLock(Lock):
    """``GET_LOCK``, which is one for the whole server."""

    limit = "SET SESSION lock_wait_timeout = {}"
    unlimited = "SET SESSION lock_wait_timeout = DEFAULT"

    @property
    def key(self) -> str:
        return f"{PURPOSE}.{sha256(self.name.encode()).hexdigest()[:16]}"

    def keep_session(self) -> None:
        with self.connection.cursor() as cursor:
            cursor.execute("SET SESSION wait_timeout = 2147483")

    def take(self) -> bool:
        return bool(self.ask("SELECT GET_LOCK(%s, 0)", [self.key]))

    def is_held(self) -> bool:
        return bool(self.ask("SELECT IS_USED_LOCK(%s) = CONNECTION_ID()", [self.key]))


class PostgreSQLLock(Lock):
    """An advisory lock, which is one for the database."""

    limit = "SET lock_timeout = '{}s'"
    unlimited = "RESET lock_timeout"
    key: ClassVar[int] = int.from_bytes(sha256(PURPOSE.encode()).digest()[:8], "big", signed=True)

    def keep_session(self) -> None:
        """Nothing: PostgreSQL ends a session for being idle only inside a transaction, and this one has none."""

    def take(self) -> bool:
        return bool(self.ask("SELECT pg_try_advisory_lock(%s)", [self.key]))

    def is_held(self) -> bool:
        # It ends with the session, so that an answer is proof.
        return bool(self.ask("SELECT %s IS NOT NULL", [self.key]))


LOCKS: Final[dict[str, type[Lock]]] = {"mysql": MySQLLock, "postgresql": PostgreSQLLock}


@contextmanager
def migrating_alone(alias: str, *, wait_seconds: float, lock_timeout_seconds: float | None) -> Iterator[None]:
    """Hold the lock of a shard's database for the block, on a session of its own; raises ``OperationalError``.

    ``wait_seconds``: how long another migration is waited for. ``lock_timeout_seconds``: how long a statement on the
    alias may wait for a table, and everybody else behind it; None leaves that to the server.
    """
    migrating = connections[alias]
    if migrating.vendor not in LOCKS:
        yield
        return
    private = migrating.copy(alias=f"{alias} (lock)")
    lock = LOCKS[migrating.vendor](private)
    try:
        _take(lock, alias, wait_seconds)
        with _limited(migrating, lock, lock_timeout_seconds):
            yield
        _require_held(lock, alias)
    finally:
        with suppress(Error):
            private.close()


def _take(lock: Lock, alias: str, wait_seconds: float) -> None:
    give_up_at = time.monotonic() + wait_seconds
    lock.keep_session()
    while not lock.take():
        if time.monotonic() > give_up_at:
            raise OperationalError(
                f"Another migrate has been running on {alias!r} for at least {wait_seconds:g} s. Wait for it, or see "
                "in the server's list of sessions who it is."
            )
        time.sleep(POLL_SECONDS)


def _require_held(lock: Lock, alias: str) -> None:
    session = lock.connection.connection
    try:
        if lock.is_held() and lock.connection.connection is session:
            return
    except Error:
        pass
    raise OperationalError(
        f"The session that held the lock of {alias!r} was lost while it was migrated: see whether another migrate ran."
    )


@contextmanager
def _limited(connection: Any, lock: Lock, seconds: float | None) -> Iterator[None]:
    """Set the limit on the session that migrates, which a schema editor must not exchange afterwards."""
    if (be_patient := getattr(connection, "be_patient", None)) is not None:
        be_patient()
    if seconds is None:
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute(lock.limit.format(max(1, round(seconds))))
    try:
        yield
    finally:
        with suppress(Error), connection.cursor() as cursor:
            cursor.execute(lock.unlimited)
