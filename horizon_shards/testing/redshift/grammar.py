"""The grammar: sqlfluff's dialect of Redshift."""

from __future__ import annotations

from functools import cache
from typing import Any


@cache
def _linter() -> Any:
    try:
        from sqlfluff.core import Linter
    except ImportError as error:  # pragma: no cover - the message is for those without the extra
        raise ImportError("The check of Redshift's grammar needs sqlfluff: pip install 'sqlfluff>=3.4'.") from error
    return Linter(dialect="redshift")


def grammar_error(sql: str) -> str | None:
    """The first thing that the grammar cannot read, or None."""
    parsed = _linter().parse_string(sql)
    for violation in parsed.violations:
        if violation.rule_code() in {"PRS", "LXR"}:
            return str(violation.desc())
    return None
