"""Records to several sinks at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from django.db.models import Model

from horizon_shards.exceptions import ConfigurationError, SinkError
from horizon_shards.sinks.base import Sink
from horizon_shards.sinks.record import Record, as_record


class MultiSink(Sink):
    """Puts each record, with one event id, into all ``SINKS``: names of other entries of ``HORIZON_SINKS``.

    A sink that does not take it does not keep the others from taking it; then ``SinkError`` names those that did
    not. Put again what raised: the event id tells the others that they have it.
    """

    known_options: ClassVar[frozenset[str]] = frozenset({"SINKS"})

    def __init__(self, name: str = "default", options: Mapping[str, Any] | None = None) -> None:
        super().__init__(name, options)
        names = self.options.get("SINKS")
        if not isinstance(names, list | tuple) or not names or name in names:
            raise ConfigurationError(
                f"HORIZON_SINKS[{name!r}]['OPTIONS']['SINKS'] must list names of other sinks, not {names!r}."
            )
        self.names = tuple(names)

    @property
    def sinks(self) -> list[Sink]:
        """The sinks, in the order of the settings."""
        from horizon_shards.sinks.registry import get_sink

        return [get_sink(name) for name in self.names]

    @property
    def stores_at_once(self) -> bool:
        """Whether one of them does."""
        return any(sink.stores_at_once for sink in self.sinks)

    def put(self, record: Record | Model) -> None:
        """Put it into each; ``SinkError`` where one of them did not take it."""
        made = as_record(record)
        self._each(lambda sink: sink.put(made), "did not take a record")

    def flush(self, timeout_seconds: float | None = None) -> None:
        """Flush each; ``SinkError`` where one of them failed."""
        self._each(lambda sink: sink.flush(timeout_seconds), "was not flushed")

    def _each(self, act: Callable[[Sink], None], problem: str) -> None:
        errors: dict[str, Exception] = {}
        for sink in self.sinks:
            try:
                act(sink)
            except Exception as error:
                errors[sink.name] = error
        if errors:
            told = "; ".join(f"{name!r} {problem}: {error}" for name, error in errors.items())
            raise SinkError(f"Of the sinks of {self.name!r} {told}") from next(iter(errors.values()))

    def close(self) -> None:
        """Nothing: each of the sinks is closed by itself."""
