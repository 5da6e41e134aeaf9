"""What a task says of itself: its time-out, its idempotency key, whether it is one transaction."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])
ATTRIBUTE = "_horizon_task_options"


@dataclass(frozen=True, slots=True)
class TaskOptions:
    """``timeout_seconds``: None for the ``TIMEOUT_SECONDS`` of the settings; ``key``: of the task's arguments."""

    timeout_seconds: float | None = None
    key: Callable[..., str] | None = None
    atomic: bool = False


def task_options(
    *, timeout_seconds: float | None = None, key: Callable[..., str] | None = None, atomic: bool = False
) -> Callable[[Function], Function]:
    """Say how the function below is to be run by workers; it stands below ``@task``.

    ``timeout_seconds``: when a try of it is ended by ``TaskTimeout``. ``key(*args, **kwargs)``: text that is the same
    for calls of which only one is to have an effect; without it every ``enqueue()`` counts. ``atomic``: run in
    ``atomic()`` on the alias of ``OPTIONS["CLAIMS"]``, so that the effect there and the mark that the task is done are
    committed together or not at all. Django's own backends (Immediate, Dummy) know none of these.
    """
    if timeout_seconds is not None and timeout_seconds <= 0:
        raise ValueError(f"timeout_seconds must be a number above 0, not {timeout_seconds!r}.")
    options = TaskOptions(timeout_seconds, key, atomic)

    def note(function: Function) -> Function:
        if not inspect.isfunction(function):
            raise TypeError(f"@task_options is for a function, not for {function!r}: write it below @task.")
        if atomic and inspect.iscoroutinefunction(function):
            raise TypeError(f"{function.__qualname__} is a coroutine: a transaction belongs to one thread.")
        setattr(function, ATTRIBUTE, options)
        return function

    return note


def options_of(function: Callable[..., Any]) -> TaskOptions:
    """What was said of a function; the defaults where nothing was."""
    found: TaskOptions = getattr(function, ATTRIBUTE, TaskOptions())
    return found
