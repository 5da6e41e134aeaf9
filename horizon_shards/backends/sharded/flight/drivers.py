"""Sending a statement without waiting for its answer, as drivers allow it.

The cursor's own ``execute()`` runs twice: it sends the first time, and reads the answer the second. So everything that
Django, a backend of ours and the driver do around a statement is done once, with the answer: logging, errors, rows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from selectors import EVENT_READ, DefaultSelector
from typing import Any

#: Engines with a driver that can.
VENDORS = ("mysql", "postgresql")
VENDORS_CHUNKED = ("mysql",)
#: What somebody else has put around a cursor may change the statement, or not run it at all.
DJANGOS = "django.db.backends."
#: Of mysqlclient's ``next_result()``.
NO_RESULT = -1


class Sent(Exception):  # noqa: N818
    """Ends the first ``execute()``: the statement is on its way."""


class Sender(ABC):
    """A driver's cursor that sends first and reads later.

    ``is_sent``: whether :meth:`send` has got so far; an error of sending is kept, and raised when the answer is read.
    """

    def __init__(self, cursor: Any) -> None:
        self.cursor = cursor
        self.connection = cursor.connection
        self.is_sent = self.is_read = False
        self.error: Exception | None = None

    @property
    def is_unread(self) -> bool:
        """Whether there is an answer, now or later, that nobody has read."""
        return self.is_sent and not self.is_read and self.error is None

    @property
    def is_waiting(self) -> bool:
        """Whether the answer is to come by the socket."""
        return self.is_unread

    def fileno(self) -> int:
        """The socket."""
        return int(self.connection.fileno())

    def send(self, sql: str, params: Any) -> None:
        """Run ``execute()`` up to where the answer would be waited for."""
        with self.instead():
            try:
                self.cursor.execute(sql, params)
            except Sent:
                pass
            except Exception as error:
                self.error = error

    @abstractmethod
    def instead(self) -> AbstractContextManager[None]:
        """A block in which ``execute()`` sends, or reads what is there to be read, by this object."""


class MySQLClient(Sender):
    """mysqlclient: a cursor gives the statement to the ``query()`` of its ``connection``, which this stands for."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.connection, name)

    @contextmanager
    def instead(self) -> Iterator[None]:
        """Be the cursor's connection."""
        self.cursor.connection = self
        try:
            yield
        finally:
            # Closed, it has none.
            if self.cursor.connection is self:
                self.cursor.connection = self.connection

    def next_result(self) -> int:
        """Further results of an earlier statement are fetched before this one is sent; afterwards there are none."""
        return NO_RESULT if self.is_sent else int(self.connection.next_result())

    def query(self, statement: bytes) -> None:
        """Send the statement, or wait for its answer."""
        if not self.is_sent:
            self.is_sent = True
            self.connection.send_query(bytes(statement))
            raise Sent
        if self.error is not None:
            raise self.error
        self.is_read = True
        self.connection.read_query_result()


class Psycopg(Sender):
    """psycopg 3: a cursor makes a generator for each statement, and ``wait()`` of its connection runs it.

    The generator tells which way it waits for the socket, by the constants of :mod:`selectors`.
    """

    #: What the generator waits for next; None when it has come to its end.
    wanted: int | None = None
    generator: Any = None

    @property
    def is_waiting(self) -> bool:
        """The driver may have read all of the answer while it was sending."""
        return self.is_unread and self.wanted is not None

    @contextmanager
    def instead(self) -> Iterator[None]:
        """Be the connection's ``wait()``."""
        self.connection.wait = self.wait
        try:
            yield
        finally:
            vars(self.connection).pop("wait", None)

    def wait(self, generator: Any, *args: Any, **kwargs: Any) -> Any:
        """Run the generator until the statement is sent, or to its end."""
        if not self.is_sent:
            self.is_sent, self.generator = True, generator
            self._run_until_sent()
            raise Sent
        if self.error is not None:
            raise self.error
        self.is_read = True
        vars(self.connection).pop("wait", None)
        return self.connection.wait(self._rest(), *args, **kwargs)

    def _run_until_sent(self) -> None:
        try:
            wanted = next(self.generator)
            while wanted != EVENT_READ:
                wanted = self.generator.send(_ready(self.connection, wanted))
            self.wanted = wanted
        except StopIteration:
            self.wanted = None

    def _rest(self) -> Iterator[int]:
        while self.wanted is not None:
            ready = yield self.wanted
            try:
                self.wanted = self.generator.send(ready)
            except StopIteration:
                self.wanted = None


def _ready(connection: Any, wanted: int) -> int:
    with DefaultSelector() as selector:
        selector.register(connection, wanted)
        return sum(events for _, events in selector.select())


def sender_for(cursor: Any) -> Sender | None:
    """What sends ahead by one of Django's cursors, or None where the driver cannot, or something has to go before."""
    if not type(cursor).__module__.startswith(DJANGOS):
        return None
    # In Django's backend for MySQL, the driver's cursor is inside another one.
    driver = getattr(cursor.cursor, "cursor", cursor.cursor)
    if hasattr(driver.connection, "send_query"):
        return MySQLClient(driver)
    if hasattr(driver.connection, "pgconn") and _has_begun(driver.connection):
        return Psycopg(driver)
    return None


def _has_begun(connection: Any) -> bool:
    """Psycopg sends BEGIN, and waits for its answer, before the first statement of a transaction."""
    return bool(connection.autocommit or connection.info.transaction_status)


def is_ready(connection: Any, *, chunked: bool) -> bool:
    """Whether nothing but the statement itself would be run, now, on a connection of Django's.

    Rows of PostgreSQL that are to come bit by bit are declared first, and asked for later.
    """
    if connection.vendor not in (VENDORS_CHUNKED if chunked else VENDORS) or connection.connection is None:
        return False
    is_checked = connection.health_check_done or not connection.health_check_enabled
    return is_checked and not (connection.execute_wrappers or connection.needs_rollback)
