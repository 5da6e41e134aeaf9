"""Django's tasks: ``django.tasks`` since Django 6.0, its backport ``django_tasks`` before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import django

from horizon_shards.exceptions import ConfigurationError

if TYPE_CHECKING or django.VERSION >= (6, 0):
    import django.tasks.signals as signals
    from django.tasks import Task, TaskContext, TaskResult, TaskResultStatus, task, task_backends
    from django.tasks.backends.base import BaseTaskBackend
    from django.tasks.base import TaskError
    from django.tasks.exceptions import InvalidTask
else:
    try:
        import django_tasks.signals as signals
        from django_tasks import TaskContext, TaskResult, TaskResultStatus, task, task_backends
        from django_tasks.backends.base import BaseTaskBackend
        from django_tasks.base import Task, TaskError
        from django_tasks.exceptions import InvalidTaskError as InvalidTask
    except ImportError as error:
        raise ConfigurationError(
            f"Tasks are part of Django 6.0, and this is Django {django.__version__}. "
            "Their backport will do: pip install 'horizon-shards[tasks]'."
        ) from error

__all__ = [
    "BaseTaskBackend",
    "InvalidTask",
    "Task",
    "TaskContext",
    "TaskError",
    "TaskResult",
    "TaskResultStatus",
    "signals",
    "task",
    "task_backends",
]
