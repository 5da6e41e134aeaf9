"""One span and one duration for each statement of a physical database."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from horizon_shards.topology import group_of_physical

#: Names of the semantic conventions, by what Django calls a vendor; others stand for themselves.
SYSTEMS = {"redshift": "aws.redshift", "oracle": "oracle.db"}


class Instrument:
    """An execute wrapper of one connection.

    Attributes follow the semantic conventions for databases, with ``horizon.database`` and ``horizon.shard``. The text
    of a statement has placeholders; its parameters, the shard key and messages of errors are never told.
    """

    def __init__(self, connection: Any, tracer: Any, duration: Any) -> None:
        self.tracer = tracer
        self.duration = duration
        self.attributes = _attributes_of(connection)

    def __call__(self, execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any) -> Any:
        """Run the statement inside its span."""
        from opentelemetry.trace import SpanKind, Status, StatusCode

        operation = str(sql).lstrip("( \n").partition(" ")[0].upper()
        attributes = {**self.attributes, "db.operation.name": operation}
        options = {"kind": SpanKind.CLIENT, "record_exception": False, "set_status_on_exception": False}
        name, began = f"{operation} {attributes['db.namespace']}", time.perf_counter()
        with self.tracer.start_as_current_span(name, attributes=attributes, **options) as span:
            if span.is_recording():
                span.set_attribute("db.query.text", str(sql))
            try:
                return execute(sql, params, many, context)
            except Exception as error:
                attributes["error.type"] = type(error).__qualname__
                span.set_attribute("error.type", attributes["error.type"])
                span.set_status(Status(StatusCode.ERROR))
                raise
            finally:
                self.duration.record(time.perf_counter() - began, attributes)


def _attributes_of(connection: Any) -> dict[str, Any]:
    entry = connection.settings_dict
    is_redshift = "redshift" in entry["ENGINE"]
    vendor = "redshift" if is_redshift else connection.vendor
    found: dict[str, Any] = {
        "db.system.name": SYSTEMS.get(vendor, vendor),
        "db.namespace": str(entry["NAME"] or connection.alias),
        "horizon.alias": connection.alias,
    }
    if entry["HOST"]:
        found["server.address"] = str(entry["HOST"])
    if str(entry["PORT"]).isdecimal():
        found["server.port"] = int(entry["PORT"])
    if (owner := group_of_physical(connection.alias)) is not None:
        found |= {"horizon.database": owner[0].alias, "horizon.shard": owner[1].name}
    return found
