"""What a connected cluster says of itself: its tables, its alerts, and duplicates that the planner does not expect."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from django.db import NotSupportedError, connections
from django.db.models import Count, Model, UniqueConstraint

from horizon_shards.backends.redshift.advice.findings import Finding
from horizon_shards.backends.redshift.storage import storage_of

#: Above these a table is slow: rows of the fullest slice by those of the emptiest, and percents.
MAX_SKEW, MAX_STATS_OFF, MAX_UNSORTED = 4, 10, 20
TABLES = 'SELECT "table", skew_rows, stats_off, unsorted FROM svv_table_info ORDER BY "table"'
ALERTS = """
    SELECT TRIM(a.event), TRIM(a.solution), COUNT(*) FROM stl_alert_event_log a
    WHERE a.event_time > DATEADD(day, -7, GETDATE()) GROUP BY 1, 2 ORDER BY 3 DESC
"""


def advise_database(using: str, models: Iterable[type[Model]]) -> list[Finding]:
    """The findings in a database; raises ``NotSupportedError`` where it is no Redshift."""
    connection = connections[using]
    if connection.vendor != "redshift":
        raise NotSupportedError(f"{using!r} is {connection.display_name}: only Redshift has these tables.")
    wanted = [*models]
    tables = {model._meta.db_table for model in wanted}
    return [*_tables(connection, tables), *_alerts(connection), *_doubles(using, wanted)]


def _rows(connection: Any, sql: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall())


def _tables(connection: Any, wanted: set[str]) -> Iterator[Finding]:
    for table, skew, stats_off, unsorted in _rows(connection, TABLES):
        if table not in wanted:
            continue
        if skew is not None and skew > MAX_SKEW:
            message = f"Its fullest slice has {skew:g} times the rows of its emptiest."
            yield Finding("skew", table, message, "Distribute it by a column with more, and more even, values.")
        if stats_off is not None and stats_off > MAX_STATS_OFF:
            yield Finding(
                "stats", table, f"What the planner knows is {stats_off:g} % off.", "Run analyze() after loads."
            )
        if unsorted is not None and unsorted > MAX_UNSORTED:
            yield Finding("unsorted", table, f"{unsorted:g} % of its rows are not sorted.", "Run vacuum() after loads.")


def _alerts(connection: Any) -> Iterator[Finding]:
    for event, solution, count in _rows(connection, ALERTS):
        yield Finding("alert", "stl_alert_event_log", f"{event}, {count} times in seven days.", f"{solution}.")


def _doubles(using: str, models: Iterable[type[Model]]) -> Iterator[Finding]:
    for model in models:
        for names in _declared(model):
            groups = model._base_manager.using(using).order_by().values(*names).annotate(__rows=Count("*"))
            if (double := groups.filter(__rows__gt=1).order_by(*names).first()) is not None:
                values = ", ".join(f"{name}={double[name]!r}" for name in names)
                message = f"{double['__rows']} rows have {values}, and the table declares that they differ."
                yield Finding("duplicates", model._meta.label, message, "Delete the copies: answers are wrong now.")


def _declared(model: type[Model]) -> Iterator[tuple[str, ...]]:
    declare = storage_of(model).declare
    if "primary_key" in declare:
        yield tuple(field.attname for field in model._meta.pk_fields)
    if "unique" in declare:
        yield from (
            (field.attname,) for field in model._meta.local_concrete_fields if field.unique and not field.primary_key
        )
        yield from (tuple(names) for names in model._meta.unique_together)
        for constraint in model._meta.constraints:
            if isinstance(constraint, UniqueConstraint) and constraint.fields and constraint.condition is None:
                yield tuple(constraint.fields)
