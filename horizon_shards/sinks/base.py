"""What every sink does, whatever stands behind it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from django.db.models import Model

from horizon_shards.conf import require_known
from horizon_shards.sinks.record import Record


class Sink(ABC):
    """Takes records, and hands them on at once or in batches; safe to use from many threads and over ``fork``.

    ``name`` is the key of ``HORIZON_SINKS``, ``options`` its ``OPTIONS``; an unknown one is a ``ConfigurationError``.
    """

    #: The names that OPTIONS may have.
    known_options: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, name: str = "default", options: Mapping[str, Any] | None = None) -> None:
        self.name = name
        self.options = dict(options or {})
        require_known(self.options, self.known_options, f"HORIZON_SINKS[{name!r}]['OPTIONS']")

    @property
    def stores_at_once(self) -> bool:
        """Whether a record is a row when :meth:`put` returns, so that the database can be asked what is unique."""
        return False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"

    @abstractmethod
    def put(self, record: Record | Model) -> None:
        """Take one record, or the unsaved instance of a model; raises ``SinkError`` where it is not taken."""

    def put_many(self, records: Iterable[Record | Model]) -> None:
        """Take several; where one is not taken those before it are."""
        for record in records:
            self.put(record)

    def flush(self, timeout_seconds: float | None = None) -> None:  # noqa: B027 - a sink that holds nothing is done
        """Return when all that was put has been handed on; ``SinkError`` where that is not so in time."""

    def close(self) -> None:
        """Hand on what is held; called when the process ends."""
        self.flush()
