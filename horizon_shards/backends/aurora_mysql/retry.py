"""Running a whole transaction again after a failover, where that cannot do its work twice."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, wraps
from typing import Generic, ParamSpec, TypeVar

from django.db import DEFAULT_DB_ALIAS, DatabaseError, InterfaceError
from django.db.transaction import atomic

from horizon_shards.backends.aurora_mysql.codes import UNREACHABLE, code_of, says_read_only
from horizon_shards.exceptions import CommitUnknown, PartialCommit

P = ParamSpec("P")
T = TypeVar("T")


def retry_on_failover(
    using: str | None = None,
    *,
    attempts: int = 3,
    idempotent: bool = False,
    was_committed: Callable[[], bool] | None = None,
) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Decorate a function: it runs inside ``atomic(using)``, and again where a failover has ended that.

    It runs again when the connection was lost, or the server had become read-only, before COMMIT: the database
    has then undone what the function did. Whatever else the function does (mail, files, other databases) is
    done again.

    When COMMIT itself failed nobody knows, and the error is raised, unless the caller knows better:
    ``was_committed()`` looks for what the transaction wrote, on the new primary (True gives the function's
    result, False runs it again); ``idempotent=True`` says that a second run does no harm.

    ``attempts`` are all runs together. The block is the outermost one: inside another ``atomic()`` of the database
    it raises ``RuntimeError``, as ``atomic(durable=True)`` does.
    """

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        @wraps(function)
        def run(*args: P.args, **kwargs: P.kwargs) -> T:
            for left in reversed(range(attempts)):
                attempt = Attempt(partial(function, *args, **kwargs), using or DEFAULT_DB_ALIAS)
                try:
                    return attempt.run()
                except (DatabaseError, InterfaceError) as error:
                    if not is_failover(error):
                        raise
                    if attempt.reached_commit and was_committed is not None and was_committed():
                        return attempt.result
                    if not left or not (idempotent or attempt.is_undone(error, was_asked=was_committed is not None)):
                        raise
            raise ValueError(f"attempts must be at least 1, not {attempts}.")

        return run

    return decorate


class Attempt(Generic[T]):
    """One run of the function in its transaction."""

    result: T

    def __init__(self, function: Callable[[], T], using: str) -> None:
        self.function = function
        self.using = using
        self.reached_commit = False

    def run(self) -> T:
        """Run and commit; raises what either raises."""
        with atomic(using=self.using, durable=True):
            self.result = self.function()
            self.reached_commit = True
        return self.result

    def is_undone(self, error: BaseException, *, was_asked: bool) -> bool:
        """Whether nothing of the run is in force; after COMMIT only the caller can have found that out."""
        return was_asked if self.reached_commit else not isinstance(error, CommitUnknown)


def is_failover(error: BaseException) -> bool:
    """Whether the error is one of those that a failover causes.

    Not so where some shards have committed: that cannot be run again as a whole.
    """
    if isinstance(error, PartialCommit):
        return False
    return isinstance(error, CommitUnknown) or code_of(error) in UNREACHABLE or says_read_only(error)
