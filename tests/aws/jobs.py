"""Tasks of the tests: each writes a line into a file when it has an effect."""

from __future__ import annotations

import signal
import time
from pathlib import Path

from horizon_shards.queues import task, task_options


def say(path: str, line: str) -> None:
    with Path(path).open("a", encoding="utf-8") as file:
        file.write(line + "\n")


@task
def note(path: str, line: str, ballast: str = "") -> None:
    say(path, f"{line} {len(ballast)}")


@task
async def note_later(path: str, line: str) -> None:
    say(path, line)


@task(takes_context=True)
def note_attempt(context, path: str) -> None:
    say(path, f"{context.task_result.id} {context.attempt} {context.task_result.task.queue_name}")


@task
@task_options(key=lambda path, line: line)
def note_once(path: str, line: str) -> None:
    say(path, line)


@task
def fail(path: str, ballast: str = "") -> None:
    say(path, "failed")
    raise ValueError("as it was told")


@task
@task_options(timeout_seconds=2)
def dawdle(path: str) -> None:
    say(path, "begun")
    time.sleep(60)
    say(path, "ended")


@task
@task_options(timeout_seconds=2)
def ignore_the_timeout(path: str) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
    say(path, "begun")
    time.sleep(120)
    say(path, "ended")


@task
def wait_for_file(path: str, awaited: str) -> None:
    """Runs until the test says so."""
    say(path, "begun")
    give_up_at = time.monotonic() + 60
    while not Path(awaited).exists() and time.monotonic() < give_up_at:
        time.sleep(0.05)
    say(path, "ended")


@task
def look_into_the_queue(path: str, seconds: float) -> None:
    """Says whether its own message is shown to others while it runs, for longer than VISIBILITY_SECONDS."""
    from horizon_shards.queues.api import task_backends

    time.sleep(seconds)
    say(path, str(task_backends["default"].queue("default").receive(wait_seconds=0)))


def lose_the_claim(name: str) -> None:
    """Makes a group; and the claim goes to another worker meanwhile."""
    from django.contrib.auth.models import Group

    from horizon_shards.queues.models import Claim

    Group.objects.create(name=name)
    Claim.objects.update(owner="another")


@task
def lose_plainly(name: str) -> None:
    lose_the_claim(name)


@task
@task_options(atomic=True)
def lose_atomically(name: str) -> None:
    lose_the_claim(name)


@task
@task_options(atomic=True)
def make_group(name: str) -> None:
    from django.contrib.auth.models import Group

    Group.objects.create(name=name)
