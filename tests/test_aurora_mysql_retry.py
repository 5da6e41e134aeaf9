"""Which errors run a block again, and which must not."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import IntegrityError, InterfaceError, OperationalError, transaction

from horizon_shards.backends.aurora_mysql.retry import retry_on_failover
from horizon_shards.exceptions import CommitUnknown, PartialCommit

pytestmark = pytest.mark.django_db(transaction=True)
LOST = OperationalError(2013, "Lost connection to server during query")
READ_ONLY = OperationalError(1290, "The MariaDB server is running with the --read-only option")
OTHER_OPTION = OperationalError(1290, "The MySQL server is running with the --secure-file-priv option")
UNKNOWN = CommitUnknown(2013, "COMMIT was sent", alias="default", server="a:1", connection_id=1)
PARTIAL = PartialCommit("half", committed=["a"], unknown=["b"], rolled_back=[])


def runs_of(error: Exception | None, **options: Any) -> tuple[int, Exception | None]:
    """How often a block runs whose first run ends with the error, and what comes out of it."""
    runs = []

    @retry_on_failover(**options)
    def work() -> None:
        runs.append(1)
        Group.objects.create(name="made once")
        if len(runs) == 1 and error is not None:
            raise error

    try:
        work()
    except Exception as raised:
        return len(runs), raised
    return len(runs), None


@pytest.mark.parametrize("error", [LOST, READ_ONLY, InterfaceError(2006, "")])
def test_a_failover_before_commit_runs_it_again(error: Exception) -> None:
    assert runs_of(error) == (2, None)
    assert Group.objects.count() == 1


@pytest.mark.parametrize(
    "error",
    [IntegrityError(1062, "Duplicate"), OperationalError(1205, "Lock wait"), OTHER_OPTION, PARTIAL, ValueError()],
)
def test_another_error_does_not(error: Exception) -> None:
    assert runs_of(error) == (1, error)
    assert runs_of(error, idempotent=True, was_committed=lambda: True) == (1, error)


def test_a_commit_of_another_database_that_is_unknown_needs_the_callers_word() -> None:
    assert runs_of(UNKNOWN) == (1, UNKNOWN)
    assert runs_of(UNKNOWN, was_committed=lambda: False) == (1, UNKNOWN)
    assert runs_of(UNKNOWN, idempotent=True) == (2, None)


def test_it_runs_as_often_as_it_may() -> None:
    @retry_on_failover(attempts=3)
    def work() -> None:
        runs.append(1)
        raise LOST

    runs: list[int] = []
    with pytest.raises(OperationalError):
        work()
    assert len(runs) == 3


def test_it_is_the_outermost_block() -> None:
    with transaction.atomic(), pytest.raises(RuntimeError, match="durable"):
        runs_without_error()


@retry_on_failover()
def runs_without_error() -> None:
    """Not reached."""


def test_what_comes_after_commit_runs_once() -> None:
    """A hook that fails is after COMMIT: the work is done."""
    runs = []

    @retry_on_failover()
    def work() -> None:
        runs.append(1)
        transaction.on_commit(fail)

    def fail() -> None:
        raise LOST

    with pytest.raises(OperationalError):
        work()
    assert len(runs) == 1
