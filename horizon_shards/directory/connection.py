"""The directory's own connections: one a thread, committed outside the caller's transaction."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.core.signals import request_finished, request_started
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.utils import load_backend

from horizon_shards.exceptions import DirectoryUnavailable

Identity = tuple[str, ...]


@dataclass(slots=True)
class Held:
    """A private connection, with the process that opened it and the database that it is to."""

    wrapper: BaseDatabaseWrapper
    pid: int
    identity: Identity


class _OfThread(threading.local):
    def __init__(self) -> None:
        self.held: dict[str, Held] = {}


_of_thread = _OfThread()
#: Aliases whose connections are closed after each piece of work, whatever ``CONN_MAX_AGE`` says.
_never_kept: set[str] = set()
#: Connections of a parent process. Freeing one would say goodbye on a socket that the parent still uses.
_inherited: list[BaseDatabaseWrapper] = []


def identity_of(alias: str) -> Identity:
    """What tells one database from another: engine, name, host, port and user."""
    entry = connections.settings.get(alias, {})
    return tuple(str(entry.get(key, "")) for key in ("ENGINE", "NAME", "HOST", "PORT", "USER"))


@contextmanager
def session(alias: str, *, write: bool) -> Iterator[BaseDatabaseWrapper]:
    """A connection to ``alias`` for one piece of work, in autocommit.

    Django's rule of ``CONN_MAX_AGE`` and ``CONN_HEALTH_CHECKS`` holds for it. Raises ``DirectoryUnavailable``
    for a write to a SQLite file that the caller's own transaction may have locked: waiting would never end.
    """
    callers = connections[alias]
    if _must_share(callers):
        yield callers
        return
    if write:
        _refuse_own_lock(callers)
    held = _hold(alias)
    try:
        yield held.wrapper
    except BaseException:
        _close(held.wrapper)
        raise
    held.wrapper.close_if_unusable_or_obsolete()
    if held.wrapper.settings_dict["CONN_MAX_AGE"] == 0 or alias in _never_kept:
        _close(held.wrapper)


@contextmanager
def transaction(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Commit what the block did, or nothing of it. Joins a transaction of a shared connection."""
    if connection.in_atomic_block:
        yield
        return
    connection.set_autocommit(False, force_begin_transaction_with_broken_autocommit=True)
    try:
        yield
        connection.commit()
    except BaseException:
        connection.rollback()
        raise
    finally:
        connection.set_autocommit(True)


def keep_none(alias: str) -> None:
    """From now on close connections to ``alias`` after each piece of work, in every thread.

    For a test database: PostgreSQL drops none that anybody is connected to.
    """
    _never_kept.add(alias)
    close_all()


def is_kept(alias: str) -> bool:
    """Whether this thread holds an open connection from earlier work, which may have died since."""
    held = _of_thread.held.get(alias)
    return held is not None and held.wrapper.connection is not None


def close_obsolete(**kwargs: Any) -> None:
    """Close this thread's private connections that are broken or older than ``CONN_MAX_AGE``."""
    for alias in list(_of_thread.held):
        if (held := _usable(alias)) is not None:
            held.wrapper.close_if_unusable_or_obsolete()


def close_all() -> None:
    """Close all private connections of this thread, for instance before a test database is dropped."""
    for alias in list(_of_thread.held):
        if (held := _usable(alias)) is not None:
            _close(held.wrapper)


def _hold(alias: str) -> Held:
    held = _usable(alias)
    if held is None:
        held = _of_thread.held[alias] = Held(_open(alias), os.getpid(), identity_of(alias))
    held.wrapper.close_if_unusable_or_obsolete()
    return held


def _usable(alias: str) -> Held | None:
    """What this thread holds for the alias, unless another process opened it or the settings moved on."""
    held = _of_thread.held.get(alias)
    if held is None:
        return None
    if held.pid != os.getpid():
        _disown(held.wrapper)
    elif held.identity == identity_of(alias):
        return held
    else:
        _close(held.wrapper)
    del _of_thread.held[alias]
    return None


def _open(alias: str) -> BaseDatabaseWrapper:
    settings = {**connections.settings[alias], "AUTOCOMMIT": True, "ATOMIC_REQUESTS": False}
    options = settings["OPTIONS"] = dict(settings["OPTIONS"])
    # A pool has threads of its own, which do not live through a fork.
    options.pop("pool", None)
    backend = load_backend(settings["ENGINE"])
    # Another name than the alias: a TestCase blocks connections whose alias it knows and does not allow.
    wrapper: BaseDatabaseWrapper = backend.DatabaseWrapper(settings, f"{alias} (directory)")
    if wrapper.vendor == "sqlite":
        # A deferred transaction that reads, then writes, fails at once where another one writes.
        options["transaction_mode"] = "IMMEDIATE"
    return wrapper


def _close(wrapper: BaseDatabaseWrapper) -> None:
    # Past the override of SQLite, which keeps connections to memory open for ever.
    BaseDatabaseWrapper.close(wrapper)


def _disown(wrapper: BaseDatabaseWrapper) -> None:
    _inherited.append(wrapper)
    descriptor = getattr(wrapper.connection, "fileno", None)
    if descriptor is not None:
        # Whatever the driver still sends when the process ends goes nowhere, not to the parent's session.
        nowhere = os.open(os.devnull, os.O_RDWR)
        os.dup2(nowhere, descriptor())
        os.close(nowhere)


def _must_share(callers: BaseDatabaseWrapper) -> bool:
    """Whether only the caller's connection can see the database, or may write to it.

    SQLite in memory without a shared cache exists in one connection; and in a ``TestCase`` that wraps the
    SQLite directory itself, a second connection would wait for a transaction that ends with the test.
    """
    if callers.vendor != "sqlite":
        return False
    name = str(callers.settings_dict["NAME"])
    if callers.is_in_memory_db() and "cache=shared" not in name:  # type: ignore[attr-defined]
        return True
    blocks = callers.atomic_blocks
    return bool(blocks) and all(getattr(block, "_from_testcase", False) for block in blocks)


def _refuse_own_lock(callers: BaseDatabaseWrapper) -> None:
    if callers.vendor == "sqlite" and callers.in_atomic_block:
        raise DirectoryUnavailable(
            f"The directory is in the SQLite database {callers.alias!r}, where this thread is inside an atomic() "
            "block: SQLite has one writer, and assignments are committed outside of the caller's transaction. "
            "Give the directory a database of its own: another alias in DIRECTORY."
        )


request_started.connect(close_obsolete, dispatch_uid="horizon_shards.directory.started")
request_finished.connect(close_obsolete, dispatch_uid="horizon_shards.directory.finished")
