"""Tasks through SQS on the emulator: tries, payloads, delays, claims and time-outs, by a worker in this process."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from django.contrib.auth.models import Group
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from horizon_shards.exceptions import MessageRefused, QueueError, TaskTimeout
from horizon_shards.queues.attempt import Attempt, Outcome
from horizon_shards.queues.claims import Claims
from horizon_shards.queues.message import Message
from horizon_shards.queues.models import Claim
from horizon_shards.queues.queue import Received
from horizon_shards.queues.worker import Worker
from horizon_shards.signals import queue_try_failed
from tests.aws import jobs
from tests.aws.conftest import Stack

pytestmark = pytest.mark.django_db
#: For what a second thread is to see, and where connections are closed.
COMMITTED = pytest.mark.django_db(transaction=True)
Use = Callable[..., Any]


@pytest.fixture
def effects(tmp_path: Path) -> Path:
    """The file that tasks write to."""
    return tmp_path / "effects"


def lines(effects: Path) -> list[str]:
    return effects.read_text().splitlines() if effects.exists() else []


def work(backend: Any, **options: Any) -> int:
    return Worker(backend, "default", until_empty=True, **options).run()


def attempt(backend: Any) -> tuple[Outcome, Received]:
    """Receive a message and try it, and leave it in the queue."""
    queue = backend.queue("default")
    received = queue.receive(wait_seconds=20)
    assert received is not None
    return Attempt(backend, queue, received).run(), received


def test_what_is_enqueued_is_run_once_and_gone(use: Use, stack: Stack, effects: Path) -> None:
    backend = use()
    result = jobs.note_attempt.enqueue(str(effects))
    assert (stack.waiting(), lines(effects)) == (1, [])
    assert work(backend) == 1
    assert lines(effects) == [f"{result.id} 1 default"]
    assert stack.waiting() == 0


def test_a_coroutine_is_run(use: Use, effects: Path) -> None:
    backend = use()
    jobs.note_later.enqueue(str(effects), "async")
    work(backend)
    assert lines(effects) == ["async"]


@pytest.mark.parametrize(("size", "objects"), [(1_000, 0), (300_000, 1), (5_000_000, 1)])
def test_arguments_of_any_size_arrive_and_leave_no_object(
    use: Use, stack: Stack, effects: Path, size: int, objects: int
) -> None:
    backend = use()
    jobs.note.enqueue(str(effects), "x", ballast="b" * size)
    assert len(stack.objects()) == objects
    work(backend)
    assert lines(effects) == [f"x {size}"]
    assert (stack.waiting(), stack.objects()) == (0, [])


def test_without_a_bucket_what_a_queue_takes_is_sent_and_more_is_refused(use: Use, effects: Path) -> None:
    backend = use(BUCKET=None)
    jobs.note.enqueue(str(effects), "x", ballast="b" * 1_000_000)
    with pytest.raises(MessageRefused, match=r"SQS takes 1,048,576: set OPTIONS\['BUCKET'\]"):
        jobs.note.enqueue(str(effects), "x", ballast="b" * 1_048_576)
    work(backend)
    assert lines(effects) == ["x 1000000"]


def test_a_failing_task_ends_in_the_dead_letter_queue_after_exactly_its_tries(
    use: Use, stack: Stack, effects: Path
) -> None:
    backend = use()
    jobs.fail.enqueue(str(effects), ballast="b" * 300_000)
    assert work(backend) == 3
    assert lines(effects) == ["failed"] * 3
    assert (stack.waiting(), stack.waiting(dead=True)) == (0, 1)
    # Who sends it back from there will need its arguments.
    assert len(stack.objects()) == 1


@pytest.mark.parametrize(
    "body",
    [
        "no JSON",
        json.dumps({"v": 2}),
        json.dumps({"v": 1, "id": "x"}),
        Message("i", "tests.aws.jobs.gone", "k", timezone.now()).encode(),
        Message("i", "os.getcwd", "k", timezone.now()).encode(),
    ],
)
def test_a_message_that_is_no_task_ends_in_the_dead_letter_queue(use: Use, stack: Stack, body: str) -> None:
    backend, errors = use(), []

    def tell(*, error: BaseException, **kwargs: Any) -> None:
        errors.append(error)

    queue_try_failed.connect(tell)
    stack.sqs.send_message(QueueUrl=stack.url, MessageBody=body)
    assert work(backend) == 3
    assert [type(error) for error in errors] == [MessageRefused] * 3
    assert (stack.waiting(), stack.waiting(dead=True)) == (0, 1)


def test_the_pause_before_the_next_try_doubles_up_to_its_most(use: Use, stack: Stack) -> None:
    backend = use(RETRY_SECONDS=100, MAX_RETRY_SECONDS=350)
    queue = backend.queue("default")
    for tries, most in ((1, 100), (2, 200), (3, 350), (1_000, 350)):
        outcome = Attempt(backend, queue, Received("no JSON", "receipt", "id", tries)).run()
        assert most / 2 <= outcome.hide_seconds <= most
    jobs.fail.enqueue("/dev/null")
    Worker(backend, "default", max_tasks=1).run()
    assert queue.receive(wait_seconds=0) is None
    assert stack.waiting() == 1


def test_a_message_that_comes_again_has_no_second_effect(use: Use, stack: Stack, effects: Path) -> None:
    """The worker died before it could delete the message."""
    backend = use()
    jobs.note.enqueue(str(effects), "x", ballast="b" * 300_000)
    outcome, received = attempt(backend)
    assert outcome.is_done
    backend.queue("default").hide(received.receipt, seconds=0)
    assert work(backend) == 1
    assert lines(effects) == ["x 300000"]
    assert (stack.waiting(), stack.objects()) == (0, [])


def test_calls_with_one_key_have_one_effect(use: Use, stack: Stack, effects: Path) -> None:
    backend = use()
    for line in ("a", "b", "a"):
        jobs.note_once.enqueue(str(effects), line)
    assert work(backend) == 3
    assert sorted(lines(effects)) == ["a", "b"]
    assert stack.waiting() == 0


def test_after_a_failure_the_same_key_may_be_tried_again(use: Use, effects: Path) -> None:
    backend = use()
    jobs.fail.enqueue(str(effects))
    assert not attempt(backend)[0].is_done
    assert not Claim.objects.exists()


def test_a_task_that_another_runs_is_left_to_it_until_its_lease_ends(use: Use, effects: Path) -> None:
    backend = use(VISIBILITY_SECONDS=60)
    jobs.note_once.enqueue(str(effects), "x")
    claims = Claims(backend.settings)
    held = Message("other", jobs.note_once.module_path, "x", timezone.now())
    assert claims.take(held, owner="other").state == "taken"
    outcome, received = attempt(backend)
    assert (outcome.is_done, lines(effects)) == (False, [])
    assert 0 < outcome.hide_seconds <= 60
    Claim.objects.update(leased_until=timezone.now())
    backend.queue("default").hide(received.receipt, seconds=0)
    assert attempt(backend)[0].is_done
    assert lines(effects) == ["x"]
    assert not claims.finish(held.digest, owner="other")


@COMMITTED
@pytest.mark.parametrize(("lost", "groups"), [(jobs.lose_plainly, 1), (jobs.lose_atomically, 0)])
def test_an_atomic_task_that_loses_its_claim_has_no_effect(use: Use, lost: Any, groups: int) -> None:
    backend = use()
    lost.enqueue("g")
    outcome, _ = attempt(backend)
    assert isinstance(outcome.error, QueueError)
    assert Group.objects.count() == groups
    # An atomic one undoes that the claim went away, too: it was part of the transaction.
    assert Claim.objects.filter(done_at=None).count() == groups


@COMMITTED
def test_an_atomic_task_is_done_with_its_effect(use: Use) -> None:
    backend = use()
    jobs.make_group.enqueue("g")
    work(backend)
    # Nobody keeps a connection beyond its age (CONN_MAX_AGE is 0) while no task runs.
    assert connection.connection is None
    assert Group.objects.get().name == "g"
    assert Claim.objects.get().done_at is not None


@COMMITTED
def test_a_task_that_takes_too_long_is_ended(use: Use, effects: Path) -> None:
    backend = use()
    jobs.dawdle.enqueue(str(effects))
    outcome, _ = attempt(backend)
    assert isinstance(outcome.error, TaskTimeout)
    assert lines(effects) == ["begun"]


@COMMITTED
def test_the_message_of_a_long_task_stays_hidden(use: Use, stack: Stack, effects: Path) -> None:
    backend = use(VISIBILITY_SECONDS=6)
    jobs.look_into_the_queue.enqueue(str(effects), 8)
    work(backend)
    assert lines(effects) == ["None"]
    assert stack.waiting() == 0


def test_a_delayed_task_is_not_run_before_its_time(use: Use, stack: Stack, effects: Path) -> None:
    backend = use()
    due = timezone.now() + timedelta(seconds=6)
    jobs.note.using(run_after=due).enqueue(str(effects), "late")
    assert backend.queue("default").receive(wait_seconds=0) is None
    outcome, _ = attempt(backend)
    assert outcome.is_done
    assert timezone.now() >= due
    assert lines(effects) == ["late 0"]


def test_a_message_that_is_received_before_its_time_is_sent_on(use: Use, stack: Stack, effects: Path) -> None:
    """Which costs none of its tries: SQS delays for 15 minutes at most."""
    backend = use(WAIT_SECONDS=20)
    due = timezone.now() + timedelta(seconds=6)
    early = Message("i", jobs.note_attempt.module_path, "i", timezone.now(), args=[str(effects)], run_after=due)
    stack.sqs.send_message(QueueUrl=stack.url, MessageBody=early.encode())
    Worker(backend, "default", max_tasks=1).run()
    assert (lines(effects), stack.waiting()) == ([], 1)
    Worker(backend, "default", max_tasks=1).run()
    assert timezone.now() >= due
    assert (lines(effects), stack.waiting()) == (["i 1 default"], 0)


def test_a_delay_of_hours_is_cut_to_what_sqs_takes(use: Use, stack: Stack, effects: Path) -> None:
    use()
    jobs.note.using(run_after=timezone.now() + timedelta(hours=5)).enqueue(str(effects), "late")
    assert stack.waiting() == 1


def test_an_object_of_somebody_else_is_neither_read_nor_deleted(use: Use, stack: Stack) -> None:
    backend = use()
    stack.s3.put_object(Bucket=stack.bucket, Key="other/file", Body=b"[[], {}]")
    forged = Message("i", jobs.note.module_path, "i", timezone.now(), payload="other/file")
    stack.sqs.send_message(QueueUrl=stack.url, MessageBody=forged.encode())
    outcome, _ = attempt(backend)
    assert isinstance(outcome.error, MessageRefused)
    assert stack.objects() == ["other/file"]


def test_a_message_that_sqs_refuses_leaves_no_object(use: Use, stack: Stack, effects: Path) -> None:
    use()
    jobs.note.enqueue(str(effects), "x", ballast="b" * 300_000)
    stack.sqs.delete_queue(QueueUrl=stack.url)
    with pytest.raises(ClientError, match="does not exist"):
        jobs.note.enqueue(str(effects), "x", ballast="b" * 300_000)
    assert len(stack.objects()) == 1


def test_a_queue_that_is_not_there_is_named(use: Use, stack: Stack) -> None:
    use()
    with pytest.raises(QueueError, match="no queue 't-gone' in eu-west-1"):
        jobs.note.using(queue_name="gone").enqueue("/dev/null", "x", ballast="b" * 300_000)
    assert stack.objects() == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--queue=gone"], "no queue 't-gone'"),
        (["--queue=other"], "no queue 'other'; there are: default, gone"),
        (["--max-tasks=0"], "at least 1"),
    ],
)
def test_the_command_names_what_it_cannot_work_on(use: Use, arguments: list[str], said: str) -> None:
    use()
    with pytest.raises(CommandError, match=said):
        call_command("work_queue", *arguments)


def test_the_command_refuses_a_queue_without_a_dead_letter_queue(use: Use, stack: Stack) -> None:
    use()
    stack.sqs.create_queue(QueueName="t-gone")
    with pytest.raises(CommandError, match="'t-gone' has no dead-letter queue"):
        call_command("work_queue", "--queue=gone")


def test_the_command_refuses_another_backend(settings: Any) -> None:
    settings.TASKS = {"default": {"BACKEND": f"{type_of_tasks()}.backends.immediate.ImmediateBackend"}}
    with pytest.raises(CommandError, match="ImmediateBackend: only SQSBackend"):
        call_command("work_queue")


def type_of_tasks() -> str:
    from horizon_shards.queues.api import BaseTaskBackend

    return BaseTaskBackend.__module__.partition(".backends")[0]


def test_claims_are_forgotten_in_their_time(use: Use) -> None:
    backend = use(CLAIM_DAYS=1)
    now = timezone.now()
    for digest, done_at in (("old", now - timedelta(days=2)), ("new", now), ("running", None)):
        Claim.objects.create(digest=digest, owner="o", leased_until=now - timedelta(days=9), done_at=done_at)
    Worker(backend, "default", until_empty=True).run()
    assert set(Claim.objects.values_list("digest", flat=True)) == {"new", "running"}


def test_a_worker_waits_where_sqs_does_not_answer(use: Use, stack: Stack) -> None:
    backend, errors = use(ENDPOINT="http://127.0.0.1:9"), []
    worker = Worker(backend, "default")

    def tell(*, error: BaseException, **kwargs: Any) -> None:
        errors.append(error)
        worker.end()

    queue_try_failed.connect(tell)
    backend.queue("default").__dict__["url"] = stack.url
    started = time.monotonic()
    assert worker.run() == 0
    assert len(errors) == 1
    assert time.monotonic() - started < 60
