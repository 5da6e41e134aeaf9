"""What a block of code sends: rows that are written one by one."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections

from horizon_shards.backends.redshift.advice.findings import Finding

_INSERT = re.compile(r'(?i)^INSERT INTO "?([^"\s(]+)"?')
_MANY = re.compile(r"\)\s*,\s*\(")


@contextmanager
def watch(*, using: str = DEFAULT_DB_ALIAS, allowed: int = 10) -> Iterator[list[Finding]]:
    """A block whose statements are watched; the list has findings afterwards.

    More than ``allowed`` INSERTs of one row each into a table are one finding.
    """
    findings: list[Finding] = []
    single: Counter[str] = Counter()

    def count(execute: Any, sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
        match = _INSERT.match(sql)
        if match and not _MANY.search(sql):
            single[match[1]] += 1
        return execute(sql, params, many, context)

    with connections[using].execute_wrapper(count):
        yield findings
    for table, number in single.items():
        if number > allowed:
            message = f"{number} rows were inserted one by one."
            findings.append(Finding("row-by-row", table, message, "Use bulk_create(), bulk_merge() or copy_from_s3()."))
