"""An assertion for tests: a queryset keeps its joins on the nodes of Redshift."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet

from horizon_shards.backends.redshift.advice import redistributions


def assert_no_redistribution(queryset: QuerySet[Any]) -> None:
    """Fail where a join of the queryset would move rows between nodes.

    Told from the distribution keys of the models, on any database, and from EXPLAIN on Redshift and on the strict local
    one. Raises ``AssertionError`` with each such join.
    """
    if found := redistributions(queryset):
        lines = "\n".join(map(str, found))
        raise AssertionError(f"{len(found)} joins would move rows between nodes:\n{lines}\n{queryset.query}")
