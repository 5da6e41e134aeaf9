"""Claims on the database that ``SHARDS_ENGINE`` names: of several workers at once, one gets a call."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from threading import Barrier
from typing import Any

import pytest
from django.db import connections

from horizon_shards.exceptions import TaskTimeout
from horizon_shards.queues import task, task_options
from horizon_shards.queues.api import task_backends
from horizon_shards.queues.attempt import Attempt
from horizon_shards.queues.claims import Answer, Claims
from horizon_shards.queues.message import Message
from horizon_shards.queues.models import Claim
from horizon_shards.queues.queue import Received
from horizon_shards.queues.settings import QueueSettings

pytestmark = pytest.mark.django_db(databases=["default", "oracle"], transaction=True)
CALL = Message("i", "app.tasks.count", "7", datetime(2026, 11, 22, tzinfo=timezone.utc))
WORKERS = 4


@pytest.fixture
def claims() -> Claims:
    return Claims(QueueSettings(claims="oracle", visibility_seconds=600))


def at_once(what: Callable[[str], Answer]) -> Counter[str]:
    """What so many workers are answered who begin together."""
    barrier = Barrier(WORKERS)

    def run(number: int) -> str:
        try:
            connections["oracle"].ensure_connection()
            barrier.wait(60)
            return what(f"worker-{number}").state
        finally:
            connections.close_all()

    with ThreadPoolExecutor(WORKERS) as pool:
        return Counter(pool.map(run, range(WORKERS)))


def end_lease() -> None:
    """The worker that held it is dead for an hour, to the microsecond."""
    past = datetime.now(timezone.utc) - timedelta(hours=1)
    Claim.objects.using("oracle").update(leased_until=past.replace(microsecond=123_457))


def test_of_several_workers_one_takes_a_call(claims: Claims) -> None:
    assert at_once(lambda owner: claims.take(CALL, owner=owner)) == {"taken": 1, "held": WORKERS - 1}


def test_of_several_workers_one_takes_over_from_a_dead_one(claims: Claims) -> None:
    assert claims.take(CALL, owner="dead").state == "taken"
    end_lease()
    assert at_once(lambda owner: claims.take(CALL, owner=owner)) == {"taken": 1, "held": WORKERS - 1}
    assert not claims.renew(CALL.digest, owner="dead")
    assert not claims.finish(CALL.digest, owner="dead")


def test_what_is_renewed_is_held_and_what_is_done_stays_done(claims: Claims) -> None:
    claims.take(CALL, owner="one")
    end_lease()
    assert claims.renew(CALL.digest, owner="one")
    answer = claims.take(CALL, owner="other")
    assert (answer.state, 500 < answer.seconds <= 540) == ("held", True)
    assert claims.finish(CALL.digest, owner="one")
    assert at_once(lambda owner: claims.take(CALL, owner=owner)) == {"done": WORKERS}
    claims.release(CALL.digest, owner="one")
    assert claims.take(CALL, owner="other").state == "done"


def test_what_is_released_may_be_taken_at_once(claims: Claims) -> None:
    claims.take(CALL, owner="one")
    claims.release(CALL.digest, owner="other")
    assert claims.take(CALL, owner="other").state == "held"
    claims.release(CALL.digest, owner="one")
    assert claims.take(CALL, owner="other").state == "taken"


#: A query of two seconds; SQLite has none.
SLEEP = {"postgresql": "SELECT pg_sleep(2)", "mysql": "SELECT SLEEP(2)"}


@task
@task_options(timeout_seconds=0.3)
def sleep_in_the_database() -> None:
    connection = connections["oracle"]
    with connection.cursor() as cursor:
        if connection.vendor in SLEEP:
            cursor.execute(SLEEP[connection.vendor])
            cursor.fetchall()
        else:
            time.sleep(2)


def test_a_time_out_in_a_query_gives_the_claim_back(settings: Any) -> None:
    """Although the connection that is to do so was in the middle of something."""
    options = {"CLAIMS": "oracle", "RETRY_SECONDS": 5}
    settings.TASKS = {"default": {"BACKEND": "horizon_shards.queues.SQSBackend", "OPTIONS": options}}
    backend = task_backends["default"]
    body = Message("i", sleep_in_the_database.module_path, "i", datetime.now(timezone.utc)).encode()
    outcome = Attempt(backend, backend.queue("default"), Received(body, "receipt", "id", 1)).run()
    assert isinstance(outcome.error, TaskTimeout)
    assert 2.5 <= outcome.hide_seconds <= 5
    assert not Claim.objects.using("oracle").exists()
