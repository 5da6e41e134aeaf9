"""Whether a query may ask several shards, and a warning that names the caller's line."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import django

import horizon_shards
from horizon_shards import context
from horizon_shards.backends.sharded.plan import Plan
from horizon_shards.exceptions import ScatterForbidden, ScatterWarning
from horizon_shards.topology import Group

#: Code whose frames are not the caller's.
INSIDE = (*(str(Path(str(module.__file__)).parent) for module in (django, horizon_shards)), "<")


def check_scatter(plan: Plan, group: Group) -> None:
    """Apply the policy of the innermost block, else that of the settings.

    ``forbid`` raises ``ScatterForbidden``; ``warn`` gives a ``ScatterWarning`` at the caller's line, which
    Python shows once a line.
    """
    policy = context.scatter_policy() or group.config.scatter
    if policy == "allow":
        return
    what = (
        f"A {plan.operation} on {plan.model} asks {len(plan.shards)} shards of {plan.database!r}: {plan.why}. "
        "Filter by the shard key, or say that it is meant by allow_scatter()."
    )
    if policy == "forbid":
        raise ScatterForbidden(what)
    filename, line = call_site()
    warnings.warn_explicit(what, ScatterWarning, filename, line, registry=_registry)


#: Where Python remembers which lines have been warned.
_registry: dict[str | tuple[str, type[Warning], int], int] = {}


def call_site() -> tuple[str, int]:
    """File and line of the innermost frame outside of Django and this package."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(INSIDE):
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno
