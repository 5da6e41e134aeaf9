"""What the databases do, as spans and metrics of OpenTelemetry; the extra ``opentelemetry``."""

from __future__ import annotations

from horizon_shards.observability.tracing import instrument, uninstrument

__all__ = ["instrument", "uninstrument"]
