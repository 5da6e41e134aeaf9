"""Waiting for what another thread, process or server does."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE_SECONDS = 60


def wait_until(holds: Callable[[], object], what: str = "the test can go on") -> None:
    """Ask again and again; raises ``TimeoutError`` where it does not come true."""
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        if time.monotonic() > give_up_at:
            raise TimeoutError(f"After {PATIENCE_SECONDS} s it is still not so that {what}.")
        time.sleep(0.02)
