"""How many shards a query may ask: one that names its keys asks the shards of these keys alone."""

from __future__ import annotations

from horizon_shards.declarations import declaration_of
from tests.properties.judge import Verdict
from tests.properties.no_answer import THERE_AND_BACK
from tests.properties.outcome import NAMES
from tests.properties.tally import LEAVING


def wasted(verdict: Verdict) -> str | None:
    """Which shards were asked without need; None where the query names no keys, or all is well.

    A wrong answer is not the only failure: a planner that always asks everybody gives right answers.
    """
    query = verdict.query
    # What runs first, or beside it, has conditions of its own.
    others = query.kinds & {"set operation", "subquery column", "subquery elsewhere"}
    others |= {join for join in THERE_AND_BACK if join in str(query)}
    if "to-many lookup" in query.kinds and query.kinds & {"not", "exclude"}:
        # Django makes a query on the same model of it.
        others |= {name for name in LEAVING if name in str(query)}
    if query.keys is None or verdict.result != "same" or others:
        return None
    if any(plan.mode == "federate" for _, plan in verdict.planned):
        return None  # it gathers from wherever
    allowed = max(1, len(query.keys))
    for sender, plan in verdict.planned:
        if sender is not NAMES[query.model]:
            continue  # the row that the manager belongs to, or what a condition asks first
        declaration = declaration_of(sender)
        if declaration is not None and declaration.kind == "sharded" and len(plan.shards) > allowed:
            return f"asks {', '.join(plan.shards)}, but names {allowed} key(s)"
    return None
