"""Which failures of the directory are worth another try, and what the others say."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from django.db import Error, IntegrityError, InterfaceError, OperationalError, ProgrammingError
from django.db.backends.base.base import BaseDatabaseWrapper

from horizon_shards.directory.connection import is_kept, session
from horizon_shards.exceptions import DirectoryUnavailable, HorizonShardsError

T = TypeVar("T")

#: How long work is repeated that met a lock or a deadlock. SQLite itself waits for 5 s by default before.
RETRY_SECONDS = 5.0
#: MySQL and MariaDB: lock wait timeout, deadlock.
MYSQL_LOCKS = {1205, 1213}
#: PostgreSQL: serialization failure, deadlock, lock not available.
POSTGRESQL_LOCKS = {"40001", "40P01", "55P03"}


def run(alias: str, work: Callable[[BaseDatabaseWrapper], T], *, write: bool) -> T:
    """What ``work`` returns on a private connection to ``alias``; ``work`` must be harmless to repeat.

    Locks are waited for, a connection that died since its last use is opened anew, once. Everything else
    raises ``DirectoryUnavailable``, and an ``IntegrityError`` is passed on.
    """
    deadline = time.monotonic() + RETRY_SECONDS
    pause_seconds = 0.005
    while True:
        kept = is_kept(alias)
        try:
            with session(alias, write=write) as connection:
                return work(connection)
        except (IntegrityError, HorizonShardsError):
            raise
        except Error as error:
            if not (kept and _lost(error)) and not (is_lock(error) and time.monotonic() < deadline):
                raise DirectoryUnavailable(_explain(alias, error)) from error
        time.sleep(pause_seconds)
        pause_seconds = min(pause_seconds * 2, 0.2)


def is_lock(error: Error) -> bool:
    """Whether the database gave up on a lock that others hold, so that a later try may succeed."""
    cause = error.__cause__
    if "locked" in str(error) and type(cause).__module__ == "sqlite3":
        return True
    if getattr(cause, "sqlstate", None) in POSTGRESQL_LOCKS:
        return True
    return bool(error.args) and error.args[0] in MYSQL_LOCKS


def _lost(error: Error) -> bool:
    return isinstance(error, OperationalError | InterfaceError)


def _explain(alias: str, error: Error) -> str:
    text = f"The directory database {alias!r} did not answer: {error}"
    if isinstance(error, ProgrammingError) or "no such table" in str(error):
        return f"{text}\nIf its tables are missing, run: manage.py migrate --database={alias}"
    if is_lock(error):
        return f"{text}\nAnother transaction holds the lock: give the directory a database of its own."
    return text
