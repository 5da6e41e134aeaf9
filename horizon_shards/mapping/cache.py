"""A bounded cache of known assignments, safe for threads."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any


class AssignmentCache:
    """The ``size`` assignments used last, each good for ``seconds``; what is not assigned is never kept."""

    def __init__(self, *, size: int, seconds: float) -> None:
        self.size = size
        self.seconds = seconds
        self._lock = threading.Lock()
        self._entries: OrderedDict[Any, tuple[float, str]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get_many(self, keys: Iterable[Any], *, stale: bool = False) -> dict[Any, str]:
        """The shards of the keys that are known; with ``stale`` also of those whose time is over."""
        now = time.monotonic()
        found = {}
        with self._lock:
            for key in keys:
                entry = self._entries.get(key)
                if entry is not None and (stale or now < entry[0]):
                    self._entries.move_to_end(key)
                    found[key] = entry[1]
        return found

    def put_many(self, shards: Mapping[Any, str]) -> None:
        """Remember assignments, and forget those unused for longest."""
        expires_at = time.monotonic() + self.seconds
        with self._lock:
            for key, shard in shards.items():
                self._entries[key] = (expires_at, shard)
                self._entries.move_to_end(key)
            while len(self._entries) > self.size:
                self._entries.popitem(last=False)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._entries.clear()

    def renew_lock(self) -> None:
        """Replace the lock, in a forked child. What was half done by another thread is forgotten."""
        self._lock = threading.Lock()
        self._entries = OrderedDict()
