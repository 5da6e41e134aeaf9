"""What was compared, counted by kind of query, so that nothing is left out in silence."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tests.properties.judge import Verdict

#: Kinds that may be refused without spending the budget of refusals.
OPTIONAL = {
    "subquery", "set operation", "group", "aggregate of a subquery", "Count distinct", "Variance", "having",
    "aggregate annotation", "distinct", "order by related", "window over shards", "window over groups",
    "subquery elsewhere", "subquery column", "filtered relation",
}  # fmt: skip
#: What queries name whose rows are partly in another database, or on other shards by way of a reference model.
LEAVING = ("site__", "editor__", "country__visit")


@dataclass
class Tally:
    """Counts of verdicts over a run."""

    results: Counter[str] = field(default_factory=Counter)
    compared: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    unanswered: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    plain_queries: int = 0
    plain_refused: int = 0
    with_rows: int = 0
    shards_asked: Counter[int] = field(default_factory=Counter)
    one_key: int = 0

    def add(self, verdict: Verdict) -> None:
        """Count one verdict."""
        kinds = verdict.query.kinds or {"all rows"}
        self.results[verdict.result] += 1
        if verdict.result == "no right answer":
            self.unanswered[verdict.why] += 1
            return
        self._refusals(verdict, kinds)
        self.shards_asked[len(verdict.shards)] += 1
        self.with_rows += bool(verdict.rows)
        self.one_key += verdict.query.keys is not None and len(verdict.query.keys) == 1

    def _refusals(self, verdict: Verdict, kinds: set[str] | frozenset[str]) -> None:
        refused = verdict.result == "refused"
        (self.refused if refused else self.compared).update(kinds)
        if refused:
            self.reasons[verdict.why] += 1
            self.examples[verdict.why] = min(
                self.examples.get(verdict.why, str(verdict.query)), str(verdict.query), key=len
            )
        elif verdict.result == "same error":
            self.errors[verdict.why] += 1
        if (
            not kinds & OPTIONAL
            and verdict.query.model != "Country"
            and not any(name in str(verdict.query) for name in LEAVING)
        ):
            self.plain_queries += 1
            self.plain_refused += refused

    @property
    def total(self) -> int:
        return self.results.total()

    @property
    def refused_share(self) -> float:
        """The share of all queries that were refused, 0 to 1."""
        return self.results["refused"] / max(1, self.total)

    @property
    def plain_refused_share(self) -> float:
        """The share of refusals among queries without any optional kind, 0 to 1."""
        return self.plain_refused / max(1, self.plain_queries)

    def as_dict(self) -> dict[str, Any]:
        """Everything counted, for JSON."""
        return {
            "queries": self.total,
            "results": dict(self.results),
            "compared_by_kind": dict(sorted(self.compared.items())),
            "refused_by_kind": dict(sorted(self.refused.items())),
            "refused_by_reason": dict(self.reasons.most_common()),
            "shortest_refused": dict(sorted(self.examples.items())),
            "same_errors": dict(self.errors.most_common()),
            "no_right_answer": dict(self.unanswered.most_common()),
            "refused_share": round(self.refused_share, 4),
            "plain_refused_share": round(self.plain_refused_share, 4),
            "with_rows": self.with_rows,
            "shards_asked": {str(count): number for count, number in sorted(self.shards_asked.items())},
            "naming_one_key": self.one_key,
        }
