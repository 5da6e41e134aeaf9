"""The connection of one database of a MySQL cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from django.db import Error, NotSupportedError
from django.db.backends.mysql import base
from django.db.utils import DatabaseErrorWrapper
from django.utils.functional import cached_property

from horizon_shards.backends.aurora_mysql.codes import NOT_COMMITTED, SERVER_GONE, code_of, says_lost, says_read_only
from horizon_shards.backends.aurora_mysql.cures import explain
from horizon_shards.backends.aurora_mysql.features import DatabaseFeatures
from horizon_shards.backends.aurora_mysql.options import is_rds
from horizon_shards.backends.aurora_mysql.sparing import SparingConnection
from horizon_shards.backends.aurora_mysql.topology import takes_writes
from horizon_shards.exceptions import CommitUnknown, ConfigurationError

#: Without them a server that is frozen or cut off is waited for without end.
TIMEOUTS: Final = {"connect_timeout": 3, "read_timeout": 60, "write_timeout": 60}
#: Modes in which the driver does not go on without TLS.
VERIFYING: Final = ("VERIFY_CA", "VERIFY_IDENTITY")
#: How statements begin that write nothing.
READS: Final = ("SELECT", "(SELECT", "SHOW", "EXPLAIN", "SET")


class NotingErrors(DatabaseErrorWrapper):
    """Django's wrapper of the driver's errors, after the connection has had a look at them."""

    wrapper: DatabaseWrapper

    def __exit__(self, exc_type: Any, exc_value: Any, traceback: Any) -> None:
        if exc_value is not None:
            self.wrapper.note(exc_value)
        super().__exit__(exc_type, exc_value, traceback)


class CursorWrapper(base.CursorWrapper):
    """Says so where a statement that commits itself was not answered."""

    def __init__(self, cursor: Any, owner: DatabaseWrapper) -> None:
        super().__init__(cursor)
        self.owner = owner

    def execute(self, query: Any, args: Any = None) -> Any:
        with self.owner.committing_itself(query):
            return super().execute(query, args)

    def executemany(self, query: Any, args: Any) -> Any:
        with self.owner.committing_itself(query):
            return super().executemany(query, args)

    def close(self) -> None:
        """Close the cursor; of a connection that is lost, or was left, nothing is: that must not hide why it was."""
        try:
            self.cursor.close()
        except self.owner.Database.Error as error:
            if not says_lost(error):
                raise


class DatabaseWrapper(SparingConnection):
    """Django's MySQL connection, that knows its role and leaves a server which has lost it."""

    features_class = DatabaseFeatures

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._is_connecting = False
        self._has_ended = False

    @cached_property
    def wrap_database_errors(self) -> NotingErrors:
        return NotingErrors(self)

    # Connecting.

    def get_connection_params(self) -> dict[str, Any]:
        """Django's, with time-outs, and with TLS where the server is one of Amazon's."""
        params: dict[str, Any] = {**TIMEOUTS, **super().get_connection_params()}
        if self._is_patient:
            params |= {"read_timeout": 0, "write_timeout": 0}
        if is_rds(str(params.get("host", ""))) and not {"ssl", "ssl_mode"} & set(params):
            params["ssl_mode"] = "REQUIRED"
        if self.cluster.iam and params.get("ssl_mode") not in VERIFYING:
            raise ConfigurationError(
                f"DATABASES[{self.alias!r}]: a token of IAM goes over the wire as it is. Name the certificates: "
                "OPTIONS = {'ssl_mode': 'VERIFY_IDENTITY', 'ssl': {'ca': 'global-bundle.pem'}}."
            )
        return params

    def open_beside(self) -> Any:
        """Another driver's connection to the very server that this one is connected to."""
        return self.connecting(self.get_connection_params()).open(self.connection.address)

    def connect(self) -> None:
        """Connect; nothing is kept of a connection that could not be set up."""
        self._is_connecting = True
        try:
            super().connect()
        except BaseException:
            self._hang_up()
            self.connection = None
            raise
        finally:
            self._is_connecting = False

    def check_database_version_supported(self) -> None:
        """Name the alias in Django's error."""
        try:
            super().check_database_version_supported()
        except NotSupportedError as error:
            raise NotSupportedError(f"database {self.alias!r}: {error}") from error

    def is_usable(self) -> bool:
        """Whether the server answers and still has the role; Django asks at the begin of a request."""
        try:
            return takes_writes(self.connection) or self.cluster.role != "primary"
        except self.Database.Error:
            return False

    def schema_editor(self, *args: Any, **kwargs: Any) -> Any:
        """An editor on a connection without time-outs: changing a table takes as long as it takes."""
        self.be_patient()
        return super().schema_editor(*args, **kwargs)

    def be_patient(self) -> None:
        """Connect anew without time-outs, until the connection is closed; the driver cannot change them later.

        For who needs something of the session (``GET_LOCK``, a variable) while tables are changed: a schema editor
        does not connect anew after this. Does nothing inside ``atomic()``, or a second time.
        """
        if not (self.in_atomic_block or self._is_patient):
            self.close()
            self._is_patient = True

    def _close(self) -> None:
        self._hang_up()
        self._is_patient = False

    # Transactions.

    def _commit(self) -> None:
        with self.committing("COMMIT"):
            super()._commit()  # type: ignore[misc]

    @contextmanager
    def committing(self, what: str) -> Iterator[None]:
        """A COMMIT; where it was sent and not answered, raise ``CommitUnknown`` and nothing else after it."""
        try:
            yield
        except Error as error:
            unknown = None if code_of(error) in NOT_COMMITTED else self._unknown(what, error)
            self._abandon_transaction()
            if unknown is None:
                raise
            raise unknown from error
        self._has_ended = True

    def _rollback(self) -> None:
        """Roll back; a server that has lost the connection has done so by itself."""
        try:
            super()._rollback()  # type: ignore[misc]
        except Error as error:
            if not says_lost(error):
                raise
            self._abandon_transaction()
        self._has_ended = True

    def _abandon_transaction(self) -> None:
        """Leave in a way that no connection is made before the block has ended: its error would hide the real one."""
        self._leave()
        self.closed_in_transaction = True

    def _set_autocommit(self, autocommit: bool) -> None:
        """Begin, or go back to autocommit; neither needs the connection that it happens to find lost."""
        try:
            super()._set_autocommit(autocommit)  # type: ignore[misc]
        except Error as error:
            if self._is_connecting or not says_lost(error):
                raise
            if autocommit and not self._has_ended:
                raise self._unknown("SET autocommit = 1", error) from error
            self._leave()
            if not autocommit:
                self.ensure_connection()
                super()._set_autocommit(autocommit)  # type: ignore[misc]

    # Errors.

    def create_cursor(self, name: str | None = None) -> Any:
        """Django's cursor, with what :class:`CursorWrapper` adds."""
        self._has_ended = False
        self.note_use()
        return CursorWrapper(self.connection.cursor(), self)

    def note(self, error: BaseException) -> None:
        """Say what to do about the error; leave the server that is gone, or no longer has the role.

        Inside a transaction the connection is closed and stays so until its outermost block has ended, as Django
        wants it.
        """
        if self._is_connecting or self.connection is None:
            return
        explain(error, self.alias)
        if not self._has_to_leave(error):
            return
        if self.in_atomic_block:
            self._hang_up()
            self.closed_in_transaction = self.needs_rollback = True
        elif self.autocommit:
            self._leave()

    def _has_to_leave(self, error: BaseException) -> bool:
        return says_lost(error) or (self.cluster.role == "primary" and says_read_only(error))

    def _leave(self) -> None:
        """Forget the connection but not, as :meth:`close` does, what is to be done on commit."""
        self._hang_up()
        self.connection = None

    @contextmanager
    def committing_itself(self, query: Any) -> Iterator[None]:
        """A statement: outside of a transaction, no answer means that nobody knows."""
        try:
            yield
        except self.Database.OperationalError as error:
            is_unanswered = says_lost(error) and code_of(error) != SERVER_GONE
            if is_unanswered and self.autocommit and not str(query).lstrip().upper().startswith(READS):
                raise self._unknown("The statement", error) from error
            raise

    def _unknown(self, what: str, error: BaseException) -> CommitUnknown:
        server, connection_id = str(self.connection.address), self.connection.known_id
        return CommitUnknown(
            code_of(error) or 0,
            f"{what} was sent to {server} (database {self.alias!r}, connection {connection_id}) and not answered: it "
            f"may be committed or not ({error.args[-1]}). Look for what it wrote before writing it again.",
            alias=self.alias,
            server=server,
            connection_id=connection_id,
        )
