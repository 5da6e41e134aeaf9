"""Finds the line of the project that issued a query."""

from __future__ import annotations

import os
import sys
from types import FrameType

#: Packages whose frames stand between the project's line and the query.
LIBRARIES = frozenset({"django", "horizon_shards", "asgiref", "concurrent", "contextlib", "threading", "asyncio"})
#: The stack of a thread that runs asynchronous ORM calls does not hold the frame that awaits them.
UNKNOWN = "an asynchronous call or a thread"


def call_site() -> str:
    """``path:line in function`` of the innermost frame outside of Django and this package.

    The path is relative to the working directory where that is shorter.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_globals.get("__name__", "").partition(".")[0] not in LIBRARIES:
            code = frame.f_code
            return f"{_short(code.co_filename)}:{frame.f_lineno} in {code.co_name}"
        frame = frame.f_back
    return UNKNOWN


def _short(path: str) -> str:
    try:
        return min(os.path.relpath(path), path, key=len)
    except ValueError:  # another drive on Windows
        return path
