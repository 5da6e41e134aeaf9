"""Every error of the package: one class a cause, under Django's own types."""

from __future__ import annotations

from collections.abc import Sequence

from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, IntegrityError, NotSupportedError, OperationalError


class HorizonShardsError(Exception):
    """The root: catches whatever this package raises by its own decision."""


class ConfigurationError(HorizonShardsError, ImproperlyConfigured):
    """A setting or a declaration that cannot work, named together with its cure."""


class QueryNotSupported(HorizonShardsError, NotSupportedError):
    """A query that has no right answer over shards (yet); the message says what to write instead.

    ``reason`` is a short stable slug (``"raw-sql"``, ``"subquery"``) for counting refusals.
    """

    def __init__(self, message: str, *, reason: str = "other") -> None:
        super().__init__(message)
        self.reason = reason


class ScatterForbidden(QueryNotSupported):
    """A query would ask several shards where that is forbidden."""

    def __init__(self, message: str) -> None:
        super().__init__(message, reason="scatter-forbidden")


class ShardKeyUpdate(QueryNotSupported):
    """An update would change a shard key, which means moving the row to another shard."""

    def __init__(self, message: str) -> None:
        super().__init__(message, reason="shard-key-update")


class InvalidShardKey(HorizonShardsError, ValueError):
    """A shard key that is missing, NULL, or of a type that cannot be hashed stably."""


class MisplacedRow(HorizonShardsError, IntegrityError):
    """A row whose id, relation or pinned shard contradicts the shard of its key."""


class UnknownShard(HorizonShardsError, LookupError):
    """A shard name that the settings of the logical database do not define."""


class UnassignedKey(HorizonShardsError, LookupError):
    """A key that no shard holds and that may not be placed now."""


class DirectoryUnavailable(HorizonShardsError, OperationalError):
    """The directory database did not answer, or is locked by the caller's own transaction."""


class ScatterTimeout(HorizonShardsError, OperationalError):
    """Shards that had not answered when the deadline of a scatter query passed."""

    def __init__(self, message: str, *, shards: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.shards = tuple(shards)


class RowLimitExceeded(HorizonShardsError, DatabaseError):
    """A merge or a federated query would hold more rows in memory than ``MAX_ROWS`` allows."""


class KeyLimitExceeded(RowLimitExceeded):
    """A query that has to run before another gives more values than ``MAX_KEYS`` allows to bind; ``count`` of them."""

    def __init__(self, message: str, *, count: int) -> None:
        super().__init__(message)
        self.count = count


class CrossShardTransaction(HorizonShardsError, DatabaseError):
    """A transaction in mode ``single`` tried to write to a second shard."""


class PartialCommit(HorizonShardsError, DatabaseError):
    """Some shards of a transaction are committed and others are not.

    ``committed``, ``unknown`` (the COMMIT itself raised) and ``rolled_back`` name the shards.
    """

    def __init__(
        self,
        message: str,
        *,
        committed: Sequence[str],
        unknown: Sequence[str],
        rolled_back: Sequence[str],
    ) -> None:
        super().__init__(message)
        self.committed = tuple(committed)
        self.unknown = tuple(unknown)
        self.rolled_back = tuple(rolled_back)


class CommitUnknown(HorizonShardsError, OperationalError):
    """A COMMIT, or a statement that commits itself, was sent and not answered: it is in force, or it is not.

    ``alias`` names the database, ``server`` the one it was sent to (``"host:port"``) and ``connection_id`` the
    connection as that server's logs name it. Look for what was written, by something that is unique to it,
    before writing it again. ``args`` are a code and a message, as of all errors of MySQL's.
    """

    def __init__(self, code: int, message: str, *, alias: str, server: str, connection_id: int) -> None:
        super().__init__(code, message)
        self.alias = alias
        self.server = server
        self.connection_id = connection_id


class ConnectionLimit(HorizonShardsError, OperationalError):
    """The process has as many connections to a database as ``MAX_CONNECTIONS`` allows, and none came free.

    ``alias`` names the database. ``args`` are a code (0: no server has said this) and a message.
    """

    def __init__(self, alias: str, limit: int, seconds: float) -> None:
        super().__init__(
            0,
            f"database {alias!r}: this process has {limit} connections to it, as many as CLUSTER['MAX_CONNECTIONS'] "
            f"allows, and none came free in {seconds:g} s (CLUSTER['DEADLINE_SECONDS']). Raise it, use fewer "
            "threads, or give connections up sooner: CLUSTER['POOL'], CONN_MAX_AGE, CLUSTER['IDLE_SECONDS'].",
        )
        self.alias = alias


class SinkError(HorizonShardsError, RuntimeError):
    """A sink did not take a record, or has not handed on all of them; the cause is what stopped it."""


class SinkFull(SinkError):
    """A sink holds as much as it may, and its policy is not to wait, or the wait is over."""


class SpillFailed(SinkError):
    """The disk or the table did not take the records that were to be kept there."""


class RecordRefused(SinkError, ValueError):
    """A record that can never be sent: it is too large, or has a value without a form in JSON."""


class QueueError(HorizonShardsError, RuntimeError):
    """A queue is not there or cannot be used like this, or a claim was lost to another worker."""


class MessageRefused(QueueError, ValueError):
    """A message that cannot be sent or run: too large, of an unknown form, or of a task that is not there."""


class TaskTimeout(HorizonShardsError, TimeoutError):
    """A try of a task took longer than its time-out."""


class RolledBack(HorizonShardsError, OperationalError):
    """A transaction over shards was rolled back on all of them when it was to be committed."""


class CommitInDoubt(HorizonShardsError, OperationalError):
    """A transaction is prepared on its shards, and the directory did not answer whether it is to be committed.

    ``gid`` names it and ``shards`` those that it wrote to. ``manage.py shards recover`` ends it.
    """

    def __init__(self, message: str, *, gid: str, shards: Sequence[str]) -> None:
        super().__init__(message)
        self.gid = gid
        self.shards = tuple(shards)


class ScatterWarning(RuntimeWarning):
    """A query asked several shards; the warning's file and line are the caller's."""


class FederationWarning(ScatterWarning):
    """A query gathered the rows of its tables to be answered at all."""
