"""What the queues say without SQS: options, messages, checks, and the import where there are no tasks."""

from __future__ import annotations

import subprocess
import sys
import threading
from datetime import datetime, timezone
from typing import Any

import pytest

from horizon_shards import queues
from horizon_shards.exceptions import ConfigurationError, MessageRefused, TaskTimeout
from horizon_shards.queues import task_options
from horizon_shards.queues.api import task_backends
from horizon_shards.queues.limits import time_limit
from horizon_shards.queues.message import Message, decode

MOMENT = datetime(2026, 11, 22, 10, tzinfo=timezone.utc)


def entry(queues: list[str] | None = None, **options: Any) -> dict[str, Any]:
    backend = {"BACKEND": "horizon_shards.queues.SQSBackend", "QUEUES": queues or ["default"], "OPTIONS": options}
    return {"default": backend}


def test_the_form_of_a_message_is_frozen() -> None:
    """Messages wait while releases come and go."""
    message = Message("id1", "app.tasks.count", "7/2026", MOMENT, args=["ü\0"], kwargs={"n": 1}, run_after=MOMENT)
    body = (
        '{"v":1,"id":"id1","task":"app.tasks.count","key":"7/2026","enqueued_at":"2026-11-22T10:00:00+00:00",'
        '"run_after":"2026-11-22T10:00:00+00:00","args":["\\u00fc\\u0000"],"kwargs":{"n":1}}'
    )
    assert message.encode() == body
    assert decode(body) == message
    assert message.digest == "bbe3ba561cd9d6f0e89f58f02363de60b81ed2c17c2d1b28690612e5812ea19c"


def test_the_form_of_a_message_with_a_payload_is_frozen() -> None:
    message = Message("id1", "app.tasks.count", "id1", MOMENT, payload="task-payloads/id1.json")
    body = (
        '{"v":1,"id":"id1","task":"app.tasks.count","key":"id1","enqueued_at":"2026-11-22T10:00:00+00:00",'
        '"run_after":null,"payload":"task-payloads/id1.json"}'
    )
    assert message.encode() == body
    assert decode(body) == message


def test_a_key_of_another_task_is_another_claim() -> None:
    one, other = (Message("i", f"app.tasks.{name}", "k", MOMENT) for name in ("one", "other"))
    assert one.digest != other.digest


@pytest.mark.parametrize("body", ["", "[]", "null", '{"v":2}', '{"v":1}', '{"v":1,"id":"i","task":"t","key":"k"}'])
def test_what_is_no_message_is_refused(body: str) -> None:
    with pytest.raises(MessageRefused):
        decode(body)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"BUCKETT": "b"}, r"BUCKETT.*did you mean 'BUCKET'"),
        ({"WAIT_SECONDS": 21}, r"\['WAIT_SECONDS'\] must be a whole number from 0 to 20, not 21"),
        ({"VISIBILITY_SECONDS": True}, r"\['VISIBILITY_SECONDS'\] must be a number"),
        ({"OFFLOAD_BYTES": 2_000_000}, r"\['OFFLOAD_BYTES'\]"),
        ({"CLAIMS": "track"}, r"\['CLAIMS'\] is 'track', which is no database that can hold a plain table"),
        ({"CLAIMS": "nowhere"}, r"\['CLAIMS'\] is 'nowhere'"),
        ({"CLIENT": 7}, r"\['CLIENT'\] must be a dict"),
        ({"BUCKET": 7}, r"\['BUCKET'\] must be text"),
    ],
)
def test_an_option_that_cannot_work_is_named(settings: Any, options: dict[str, Any], said: str) -> None:
    settings.TASKS = entry(**options)
    (problem,) = task_backends["default"].check()
    assert problem.id == "horizon_shards.E115"
    with pytest.raises(ConfigurationError, match=said):
        _ = task_backends["default"].settings


def test_settings_that_will_do_and_those_without_the_app(settings: Any) -> None:
    settings.TASKS = entry(BUCKET="b", RETRY_SECONDS=0.5, ENDPOINT=None)
    assert list(task_backends["default"].check()) == []
    settings.INSTALLED_APPS = [name for name in settings.INSTALLED_APPS if name != "horizon_shards.queues"]
    (problem,) = task_backends["default"].check()
    assert "INSTALLED_APPS has no 'horizon_shards.queues'" in problem.msg


def test_a_fifo_queue_is_refused(settings: Any) -> None:
    settings.TASKS = entry(["orders.fifo"])
    (problem,) = task_backends["default"].check()
    assert "'orders.fifo': only standard queues" in problem.msg


def test_options_stand_below_the_task() -> None:
    with pytest.raises(TypeError, match="below @task"):
        task_options()(object())
    with pytest.raises(ValueError, match="above 0"):
        task_options(timeout_seconds=0)

    async def coroutine() -> None: ...

    with pytest.raises(TypeError, match="is a coroutine"):
        task_options(atomic=True)(coroutine)


def test_a_public_name_that_is_not_there_is_named() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Queue'; it has SQSBackend"):
        queues.Queue  # noqa: B018


def test_a_time_limit_ends_the_block_and_nothing_after_it() -> None:
    with pytest.raises(TaskTimeout, match=r"x took longer than 0\.05 seconds"), time_limit(0.05, what="x"):
        threading.Event().wait(60)
    with time_limit(1, what="x"):
        pass
    threading.Event().wait(1.2)


def test_a_time_limit_outside_of_the_main_thread_is_refused() -> None:
    errors: list[Exception] = []

    def run() -> None:
        try:
            with time_limit(1, what="x"):
                pass
        except ConfigurationError as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert "main thread" in str(errors[0])


def test_the_app_loads_where_there_are_no_tasks_and_their_use_names_the_cure() -> None:
    """Django 5.2 without the backport."""
    code = (
        "import sys, django\n"
        "django.VERSION = (5, 2, 0, 'final', 0)\n"
        "sys.modules['django_tasks'] = None\n"
        "import horizon_shards.queues, horizon_shards.queues.apps\n"
        "try:\n"
        "    horizon_shards.queues.task\n"
        "except Exception as error:\n"
        "    print(type(error).__name__, error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.startswith("ConfigurationError Tasks are part of Django 6.0")
    assert "pip install 'horizon-shards[tasks]'" in done.stdout
