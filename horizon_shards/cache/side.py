"""One of the two caches: whether it is asked now, and what is known of the writes that it missed."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from pickle import PicklingError
from typing import Any

from django.core.cache import caches
from django.db import DatabaseError

#: Errors of these packages say that a server failed, whatever their class is derived from.
CLIENTS = {"pymemcache", "pylibmc", "redis"}


class Missed(Exception):  # noqa: N818 - named after what happened
    """A side was not asked, or did not answer."""


class Side:
    """A cache by alias, with its circuit breaker; one for all threads of the process."""

    def __init__(self, alias: str, cooldown_seconds: float) -> None:
        self.alias = alias
        self.cooldown_seconds = cooldown_seconds
        self.lock = threading.Lock()
        #: Not asked before that time of the monotonic clock.
        self.closed_until = 0.0
        #: Since when it answers again, while it is not trusted.
        self.answers_since: float | None = None
        #: When it is looked after next, although nobody needs it.
        self.look_at = 0.0
        #: Writes that it missed and that the other side could not be told of.
        self.untold = False
        #: What the other side said last of whether writes were missed.
        self.was_dirty = False

    @property
    def is_asked(self) -> bool:
        """Whether the circuit lets calls through."""
        return time.monotonic() >= self.closed_until

    def call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Call a method of the cache; ``Missed`` where it is not asked or fails; other errors are the caller's."""
        if not self.is_asked:
            raise Missed(self.alias)
        method: Callable[..., Any] = getattr(caches[self.alias], name)
        try:
            return method(*args, **kwargs)
        except Exception as error:
            if not is_failure(error):
                raise
            self.open_circuit()
            raise Missed(self.alias) from error

    def open_circuit(self) -> None:
        """Ask nothing for a while; not for the same time in all processes."""
        self.answers_since = None
        self.closed_until = time.monotonic() + self.cooldown_seconds * random.uniform(0.8, 1.2)  # noqa: S311


def is_failure(error: Exception) -> bool:
    """Whether an error is the server's, or the network's, and not that of the value or key."""
    if isinstance(error, PicklingError):
        return False
    if isinstance(error, OSError | DatabaseError):
        return True
    is_clients = type(error).__module__.partition(".")[0] in CLIENTS
    return is_clients and not is_too_large(error) and not isinstance(error, ValueError | TypeError)


def is_too_large(error: Exception) -> bool:
    """Whether memcached says that it never takes a value of this size."""
    return "too large" in str(error).lower()
