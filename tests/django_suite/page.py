"""The table of a run, and its part of a page of the documentation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import django

from tests.django_suite.verdicts import Verdict

TITLE = """# Compatibility with Django's own tests

Made by `python -m tests.django_suite --mode all --write docs/compatibility.md`. Counted are the tests that pass on
plain SQLite of the same Django version; of Redshift, all that Django runs. *Refused*: `NotSupportedError` of this
package, by its reason. *Explained*: the test assumes something that shards, or Redshift, do not promise, listed by name
below. *Skipped*: Django's own conditions on what a
database can do. *Wrong*: everything else.
"""
ABOUT = {
    "reference": "`default` is a logical database of 3 SQLite shards, and every model is copied to all of them.",
    "sharded": "`default` is a logical database of 3 SQLite shards, and every model is sharded by its "
    "primary key; federation is on.",
    "redshift": "`default` and `other` are strict local Redshifts on PostgreSQL 15: each statement is checked, then "
    "run. All constraints are declared, so that the tests find them, and keys are numbered from 1, because Django's "
    "own apps have keys of 32 bits. Tests that Django skips on Redshift are not counted.",
}
HEAD = "| module | run | passed | refused | explained | skipped | wrong | refused by reason |"


def table(verdicts: list[Verdict]) -> str:
    """The verdicts as a Markdown table."""
    lines = [HEAD, "|---" + "|--:" * 6 + "|---|"]
    lines += [_row(v.module, [v]) for v in verdicts]
    return "\n".join([*lines, _row("**all**", verdicts)])


def _row(name: str, verdicts: Iterable[Verdict]) -> str:
    counts: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for verdict in verdicts:
        counts["run"] += verdict.run
        for what in ("passed", "refused", "explained", "skipped", "wrong"):
            counts[what] += len(getattr(verdict, what))
        reasons += verdict.reasons
    cells = [counts[what] for what in ("run", "passed", "refused", "explained", "skipped", "wrong")]
    by_reason = ", ".join(f"{reason} {count}" for reason, count in reasons.most_common())
    return "| " + " | ".join(map(str, [name, *cells, by_reason])) + " |"


def write_page(page: Path, mode: str, verdicts: list[Verdict]) -> None:
    """Replace the part of ``mode`` in the page, which is begun where it is not there yet."""
    text = page.read_text(encoding="utf-8") if page.exists() else TITLE
    begin, end = f"<!-- {mode} -->", f"<!-- end of {mode} -->"
    before, _, rest = text.partition(begin)
    after = rest.partition(end)[2]
    parts = [before.strip(), f"{begin}\n{_section(mode, verdicts)}\n{end}", after.strip()]
    page.write_text("\n\n".join(filter(None, parts)) + "\n", encoding="utf-8")


def _section(mode: str, verdicts: list[Verdict]) -> str:
    parts = [
        f"## {mode.capitalize()}" + " mode" * (mode != "redshift"),
        f"Django {django.get_version()}. {ABOUT[mode]}",
        table(verdicts),
    ]
    causes: dict[str, list[str]] = {}
    for verdict in verdicts:
        for test, cause in verdict.explained.items():
            causes.setdefault(cause, []).append(test)
    for cause, tests in causes.items():
        parts += [f"Explained: {cause} ({len(tests)})", "\n".join(f"* `{test}`" for test in tests)]
    wrong = [f"* `{test}`" for verdict in verdicts for test in verdict.wrong]
    if wrong:
        parts += ["Wrong:", "\n".join(wrong)]
    return "\n\n".join(parts)
