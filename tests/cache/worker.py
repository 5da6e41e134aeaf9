"""A process that uses the double cache as it is told: ``python -m tests.cache.worker A B``, commands as JSON lines."""

from __future__ import annotations

import json
import sys
import time

from django.conf import settings

from tests.cache.conftest import cache_settings


def main(a: str, b: str) -> None:
    """Answer each ``[method, arguments]`` with ``[value, seconds]``."""
    settings.configure(CACHES=cache_settings(a, b, cooldown=2.0))
    from django.core.cache import caches

    def is_whole() -> bool:
        """Whether both clusters are trusted, after a read like any other."""
        cache = caches["default"]
        for side in cache.pair.sides:
            side.look_at = 0.0
        cache.get("k0")
        return all(side.is_asked and not side.was_dirty and not side.untold for side in cache.pair.sides)

    for line in sys.stdin:
        name, arguments = json.loads(line)
        began = time.monotonic()
        try:
            value = is_whole() if name == "is_whole" else getattr(caches["default"], name)(*arguments)
        except Exception as error:  # the test says that there is none
            value = f"{type(error).__name__}: {error}"
        sys.stdout.write(json.dumps([value, time.monotonic() - began]) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
