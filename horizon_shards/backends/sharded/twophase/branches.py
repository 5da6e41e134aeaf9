"""What a shard's database calls prepare and commit: XA, or PREPARE TRANSACTION."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any, ClassVar, Final

from django.db import Error, OperationalError
from django.db.backends.utils import debug_transaction

from horizon_shards.backends.sharded.twophase.names import PREFIX, branch_of

#: MySQL: no such transaction, or it had nothing to commit.
XA_NO_SUCH: Final = 1397
XA_ROLLED_BACK: Final = frozenset({1402, 1613, 1614})
#: PostgreSQL: no such transaction.
UNDEFINED_OBJECT: Final = "42704"


def run(connection: Any, sql: str) -> str:
    """Send a statement past Django's cursor, whose wrappers are for the application's; what PostgreSQL says it did."""
    connection.ensure_connection()
    with debug_transaction(connection, sql), connection.wrap_database_errors:
        cursor = connection.connection.cursor()
        try:
            cursor.execute(sql)
            return str(getattr(cursor, "statusmessage", ""))
        finally:
            cursor.close()


class Branch(ABC):
    """The part of one shard in the transaction ``gid``, from its begin on ``connection``."""

    #: What lists the prepared transactions of a server.
    listing: ClassVar[str]

    def __init__(self, gid: str, shard: str) -> None:
        self.gid = gid
        self.name = branch_of(shard)
        self.is_prepared = False
        #: The driver's connection that has prepared it.
        self.session: Any = None

    @abstractmethod
    def begin(self, connection: Any) -> None:
        """Begin a transaction that can be prepared."""

    @abstractmethod
    def commit(self, connection: Any) -> None:
        """Commit in one phase."""

    @abstractmethod
    def prepare(self, connection: Any) -> None:
        """The first phase: afterwards the database keeps the work, whatever happens to it or to us."""

    def note_prepared(self, connection: Any) -> None:
        """Remember the session: another one may not find the transaction while this one is there."""
        self.is_prepared, self.session = True, connection.connection

    def commit_prepared(self, connection: Any) -> None:
        """The second phase on the session of the first; raises where that is lost."""
        if connection.connection is not self.session:
            raise OperationalError("The connection was lost after the transaction was prepared.")
        if not self.end_prepared(connection, commit=True):
            # Somebody else has: a session of MySQL does not know that and would refuse what comes next.
            connection.close()

    def end_prepared(self, connection: Any, *, commit: bool) -> bool:
        """The second phase, also from elsewhere; False where the server knows of no such transaction.

        Somebody else has then ended it; or, on MariaDB, the session that prepared it is still there.
        """
        try:
            run(connection, self.ending(commit=commit))
        except Error as error:
            if not self.is_ended(error):
                raise
            return False
        return True

    @abstractmethod
    def ending(self, *, commit: bool) -> str:
        """The statement of the second phase."""

    @abstractmethod
    def is_ended(self, error: Error) -> bool:
        """Whether the error says that there is nothing to end."""

    @abstractmethod
    def rollback(self, connection: Any) -> None:
        """Roll back, in whatever state it is."""

    def leave(self, connection: Any) -> None:
        """Back to autocommit."""
        connection.set_autocommit(True)

    @classmethod
    def prepared(cls, connection: Any, shard: str) -> list[str]:
        """The transactions that are prepared on a shard, of whatever directory; those of other projects may be too."""
        with connection.cursor() as cursor:
            cursor.execute(cls.listing)
            names = [cls.split(row) for row in cursor.fetchall()]
        return sorted(gid for gid, branch in names if branch == branch_of(shard) and gid.startswith(f"{PREFIX}."))

    @staticmethod
    @abstractmethod
    def split(row: Any) -> tuple[str, str]:
        """The transaction and the branch that a row of the listing names."""


class XaBranch(Branch):
    """XA of MySQL and MariaDB. The session stays in autocommit all the time; only Django must not know."""

    listing = "XA RECOVER"
    is_ended_phase_one = False

    @property
    def xid(self) -> str:
        """The name in SQL."""
        return f"'{self.gid}','{self.name}'"

    def begin(self, connection: Any) -> None:
        try:
            run(connection, f"XA START {self.xid}")
        except Error:
            if connection.connection is not None:
                raise
            # The connection was lost before, and the backend has left it: nothing was sent.
            run(connection, f"XA START {self.xid}")
        connection.autocommit = False

    def commit(self, connection: Any) -> None:
        _require_connection(connection)
        run(connection, f"XA END {self.xid}")
        self.is_ended_phase_one = True
        with committing(connection):
            run(connection, f"XA COMMIT {self.xid} ONE PHASE")

    def prepare(self, connection: Any) -> None:
        _require_connection(connection)
        run(connection, f"XA END {self.xid}")
        self.is_ended_phase_one = True
        run(connection, f"XA PREPARE {self.xid}")
        self.note_prepared(connection)

    def ending(self, *, commit: bool) -> str:
        return f"XA {'COMMIT' if commit else 'ROLLBACK'} {self.xid}"

    def is_ended(self, error: Error) -> bool:
        return bool(error.args) and error.args[0] in XA_ROLLED_BACK | {XA_NO_SUCH}

    def rollback(self, connection: Any) -> None:
        if connection.connection is None:
            return
        if not self.is_ended_phase_one:
            with suppress(Error):  # after a deadlock the branch has been ended
                run(connection, f"XA END {self.xid}")
        self.end_prepared(connection, commit=False)

    def leave(self, connection: Any) -> None:
        connection.autocommit = True

    @staticmethod
    def split(row: Any) -> tuple[str, str]:
        _, length, _, data = row
        text = data.decode("latin-1") if isinstance(data, bytes) else str(data)
        return text[: int(length)], text[int(length) :]


class PreparedBranch(Branch):
    """PREPARE TRANSACTION of PostgreSQL."""

    listing = "SELECT gid FROM pg_prepared_xacts WHERE database = current_database()"

    @property
    def name_in_sql(self) -> str:
        """The name in SQL."""
        return f"'{self.gid}.{self.name}'"

    def begin(self, connection: Any) -> None:
        connection.set_autocommit(False, force_begin_transaction_with_broken_autocommit=True)

    def commit(self, connection: Any) -> None:
        connection.commit()

    def prepare(self, connection: Any) -> None:
        _require_connection(connection)
        if not run(connection, f"PREPARE TRANSACTION {self.name_in_sql}").startswith("PREPARE"):
            raise OperationalError("An error before PREPARE TRANSACTION had ended the transaction: it is rolled back.")
        self.note_prepared(connection)
        # The driver believes that its transaction goes on.
        connection.connection.rollback()
        connection.set_autocommit(True)

    def ending(self, *, commit: bool) -> str:
        return f"{'COMMIT' if commit else 'ROLLBACK'} PREPARED {self.name_in_sql}"

    def is_ended(self, error: Error) -> bool:
        cause = error.__cause__
        return UNDEFINED_OBJECT in (getattr(cause, "sqlstate", None), getattr(cause, "pgcode", None))

    def rollback(self, connection: Any) -> None:
        if self.is_prepared:
            self.end_prepared(connection, commit=False)
        else:
            connection.rollback()

    @staticmethod
    def split(row: Any) -> tuple[str, str]:
        gid, _, branch = str(row[0]).rpartition(".")
        return gid, branch


#: By the vendor of the shards.
BRANCHES: Final[dict[str, type[Branch]]] = {"mysql": XaBranch, "postgresql": PreparedBranch}


def committing(connection: Any) -> AbstractContextManager[None]:
    """What the backend does around a COMMIT: aurora_mysql tells an unknown outcome from a failure."""
    own: Any = getattr(connection, "committing", nullcontext)
    context: AbstractContextManager[None] = own("XA COMMIT") if own is not nullcontext else nullcontext()
    return context


def _require_connection(connection: Any) -> None:
    """``run`` connects, and a new connection knows nothing of the transaction."""
    if connection.connection is None or connection.closed_in_transaction:
        raise OperationalError("The connection was lost inside the transaction, and the database has rolled it back.")
