"""Django's tasks through Amazon SQS: at once on a laptop, by workers or Lambda in production, as the settings say."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from horizon_shards.queues.api import task
    from horizon_shards.queues.backend import SQSBackend
    from horizon_shards.queues.options import task_options

__all__ = ["SQSBackend", "task", "task_options"]

#: Where the public names are.
HOMES = {"SQSBackend": "backend", "task": "api", "task_options": "options"}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for: the app itself loads where there are no tasks."""
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}.")
    return getattr(import_module(f"{__name__}.{HOMES[name]}"), name)
