"""The handler for Lambda, called with the events that a queue's event source mapping makes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from horizon_shards.exceptions import ConfigurationError
from tests.aws import jobs
from tests.aws.conftest import Stack

pytest.importorskip("aws_lambda_powertools", reason="pip install 'horizon-shards[lambda]'")

from horizon_shards.contrib.aws_lambda import make_handler

pytestmark = pytest.mark.django_db
Use = Callable[..., Any]


@dataclass
class Context:
    """What Lambda gives to a handler, of which one number is asked."""

    milliseconds: int = 60_000

    def get_remaining_time_in_millis(self) -> int:
        return self.milliseconds


@pytest.fixture
def effects(tmp_path: Path) -> Path:
    return tmp_path / "effects"


def lines(effects: Path) -> list[str]:
    return effects.read_text().splitlines() if effects.exists() else []


def invoke(stack: Stack, handler: Any, *, milliseconds: int = 60_000, deletes: bool = True) -> tuple[int, int]:
    """One invocation as Lambda makes it: up to 10 messages, and those that did not fail are deleted.

    Gives how many there were, and how many of them failed.
    """
    found = stack.sqs.receive_message(
        QueueUrl=stack.url, MaxNumberOfMessages=10, WaitTimeSeconds=0, AttributeNames=["All"]
    ).get("Messages", [])
    records = [record(stack, message) for message in found]
    if not records:
        return 0, 0
    answer = handler({"Records": records}, Context(milliseconds))
    failed = {item["itemIdentifier"] for item in answer["batchItemFailures"]}
    for message in found:
        if deletes and message["MessageId"] not in failed:
            stack.sqs.delete_message(QueueUrl=stack.url, ReceiptHandle=message["ReceiptHandle"])
    return len(records), len(failed)


def record(stack: Stack, message: dict[str, Any]) -> dict[str, Any]:
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message["Attributes"],
        "messageAttributes": {},
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:eu-west-1:123456789012:t-default",
        "awsRegion": "eu-west-1",
    }


def test_of_a_batch_only_what_failed_comes_again(
    use: Use, stack: Stack, effects: Path, caplog: pytest.LogCaptureFixture
) -> None:
    use(RETRY_SECONDS=100)
    jobs.note.enqueue(str(effects), "a", ballast="b" * 300_000)
    jobs.fail.enqueue(str(effects))
    jobs.note.enqueue(str(effects), "c")
    assert invoke(stack, make_handler()) == (3, 1)
    assert sorted(lines(effects)) == ["a 300000", "c 0", "failed"]
    assert stack.objects() == []
    assert next(line.message for line in caplog.records if line.name == "horizon_shards.queues").endswith(
        ", try 1: ValueError: as it was told"
    )
    # Hidden until its pause is over, not shown at once.
    assert stack.waiting() == 1
    assert invoke(stack, make_handler()) == (0, 0)


def test_a_failing_task_is_dead_after_exactly_its_tries(use: Use, stack: Stack, effects: Path) -> None:
    use()
    jobs.fail.enqueue(str(effects))
    assert [invoke(stack, make_handler()) for _ in range(4)] == [(1, 1), (1, 1), (1, 1), (0, 0)]
    assert lines(effects) == ["failed"] * 3
    assert (stack.waiting(), stack.waiting(dead=True)) == (0, 1)


def test_a_batch_that_comes_again_has_no_second_effect(use: Use, stack: Stack, effects: Path) -> None:
    """Lambda could not delete it."""
    use()
    jobs.note.enqueue(str(effects), "a")
    url, handler = stack.url, make_handler()
    stack.sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "0"})
    assert invoke(stack, handler, deletes=False) == (1, 0)
    assert invoke(stack, handler) == (1, 0)
    assert (lines(effects), stack.waiting()) == (["a 0"], 0)


@pytest.mark.django_db(transaction=True)
def test_a_task_is_ended_before_the_invocation_is(use: Use, stack: Stack, effects: Path) -> None:
    use()
    jobs.wait_for_file.enqueue(str(effects), "/nowhere")
    assert invoke(stack, make_handler(), milliseconds=4_000) == (1, 1)
    assert lines(effects) == ["begun"]


def test_without_time_nothing_is_begun(use: Use, stack: Stack, effects: Path, caplog: pytest.LogCaptureFixture) -> None:
    use()
    jobs.note.enqueue(str(effects), "a")
    assert invoke(stack, make_handler(), milliseconds=1_500) == (1, 1)
    assert lines(effects) == []
    assert "There was no time left" in caplog.text


def test_a_queue_of_another_prefix_and_another_backend_are_refused(use: Use, stack: Stack, settings: Any) -> None:
    backend = use(QUEUE_PREFIX="u-")
    stack.sqs.create_queue(QueueName="u-default")
    jobs.note.enqueue("/dev/null", "a")
    body = stack.sqs.receive_message(QueueUrl=backend.queue("default").url)["Messages"][0]["Body"]
    stack.sqs.send_message(QueueUrl=stack.url, MessageBody=body)
    assert invoke(stack, make_handler()) == (1, 1)
    from horizon_shards.queues.api import BaseTaskBackend

    module = BaseTaskBackend.__module__.replace("base", "dummy")
    settings.TASKS = {"default": {"BACKEND": f"{module}.DummyBackend"}}
    with pytest.raises(ConfigurationError, match="DummyBackend: a Lambda takes those of SQSBackend"):
        make_handler()
