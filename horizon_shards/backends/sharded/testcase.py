"""Lets a Django test that names only the logical alias in ``databases`` use the shards behind it.

``SimpleTestCase`` forbids every alias that ``databases`` leaves out, in two ways: it sets a failure object over
``cursor``, ``connect`` and others on each connection of the main thread, and it replaces
``BaseDatabaseWrapper.ensure_connection``, which stops connections of other threads. Asking for the logical alias
is asking for its shards, so both are lifted from a physical connection when the logical one takes it, and not
before: until then nothing would roll back what is written to it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from django.db import ProgrammingError
from django.db.backends.base.base import BaseDatabaseWrapper

#: Where Django's failure objects and its replacement of ``ensure_connection`` are defined (5.2 to 6.1).
GUARDS = "django.test.testcases"


def allow_shard(logical_connection: BaseDatabaseWrapper, physical_connection: BaseDatabaseWrapper) -> None:
    """Lift the blocks of the running test from a physical connection that the logical one is about to use.

    Outside of tests this costs a few attribute lookups. Raises Django's own ``AssertionError``, which names the
    logical alias and the ``databases`` to add it to, where the test does not allow the logical database.
    """
    cursor: Any = logical_connection.__dict__.get("cursor")
    if _forbids(cursor):
        cursor()
    _lift(physical_connection, logical_connection.alias)


def allow_lead(logical_connection: BaseDatabaseWrapper, physical_connection: BaseDatabaseWrapper) -> None:
    """As :func:`allow_shard` for a connection that is only asked about its engine, which every test may do."""
    if not _forbids(logical_connection.__dict__.get("cursor")):
        _lift(physical_connection, logical_connection.alias)


class Allowed:
    """Calls the method behind failure objects, and has their ``wrapped``, which Django puts back at the end."""

    def __init__(self, failure: Any) -> None:
        self.wrapped = failure.wrapped
        self._method = failure.wrapped
        # Test classes may be nested, and then so are the failure objects.
        while _forbids(self._method) or isinstance(self._method, Allowed):
            self._method = self._method.wrapped

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._method(*args, **kwargs)


class EnsureConnection:
    """``ensure_connection`` of a shard's connection: Django's guard is asked for the logical alias instead.

    It stays on the connection after the test, where it does what Django's own does.
    """

    def __init__(self, connection: BaseDatabaseWrapper, logical_alias: str) -> None:
        self.connection = connection
        self.logical_alias = logical_alias

    def __call__(self) -> None:
        if self.connection.connection is not None or not _is_guarded():
            BaseDatabaseWrapper.ensure_connection(self.connection)
            return
        self._ask()
        if self.connection.in_atomic_block and self.connection.closed_in_transaction:
            raise ProgrammingError("Cannot open a new connection in an atomic block.")
        with self.connection.wrap_database_errors:
            self.connection.connect()

    def _ask(self) -> None:
        """Raise unless the test allows the logical alias, or this one."""
        try:
            _ask_guard(self.logical_alias)
        except AssertionError as forbidden:
            try:
                _ask_guard(self.connection.alias)
            except AssertionError:
                raise forbidden from None


class _Asking:
    """Stands for a closed connection when Django's guard is asked whether the test allows its alias."""

    connection = None
    in_atomic_block = False
    wrap_database_errors: AbstractContextManager[None] = nullcontext()

    def __init__(self, alias: str) -> None:
        self.alias = alias

    def connect(self) -> None:
        """Do nothing: the guard let it pass."""

    ensure_connection = connect


def _lift(connection: BaseDatabaseWrapper, logical_alias: str) -> None:
    if _forbids(connection.__dict__.get("cursor")):
        for name, method in list(connection.__dict__.items()):
            if _forbids(method):
                setattr(connection, name, Allowed(method))
    if connection.connection is None and _is_guarded():
        connection.__dict__["ensure_connection"] = EnsureConnection(connection, logical_alias)


def _ask_guard(alias: str) -> None:
    BaseDatabaseWrapper.ensure_connection(_Asking(alias))  # type: ignore[arg-type]


def _forbids(method: object) -> bool:
    return type(method).__module__ == GUARDS


def _is_guarded() -> bool:
    guard: Callable[..., None] = BaseDatabaseWrapper.ensure_connection
    return guard.__module__ == GUARDS
