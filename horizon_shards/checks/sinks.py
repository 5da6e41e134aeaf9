"""Checks of ``HORIZON_SINKS``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django.core.checks import CheckMessage

from horizon_shards.checks.catalogue import problem
from horizon_shards.exceptions import ConfigurationError
from horizon_shards.sinks import MultiSink
from horizon_shards.sinks.registry import make_sink, sink_settings

HINT = "docs/sinks.md lists the sinks and their options."


def check_sinks(**kwargs: Any) -> list[CheckMessage]:
    """Everything that the settings alone can tell to be wrong with the sinks."""
    try:
        entries = sink_settings()
    except ConfigurationError as error:
        return [problem("E113", str(error), hint=HINT)]
    return [message for name in entries for message in _entry(name, entries)]


def _entry(name: str, entries: Mapping[str, Any]) -> Iterator[CheckMessage]:
    try:
        sink = make_sink(name, entries)
    except ConfigurationError as error:
        yield problem("E113", str(error), hint=HINT)
        return
    for part in sink.names if isinstance(sink, MultiSink) else ():
        if part not in entries:
            yield problem(
                "E113",
                f"HORIZON_SINKS[{name!r}]['OPTIONS']['SINKS'] names {part!r}, which is not in HORIZON_SINKS.",
                hint=f"Known are {', '.join(entries)}.",
            )
