"""Records as rows of the database, by the ORM, a moment later and many at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.db import DataError, IntegrityError, connections
from django.db.models import Model

from horizon_shards.exceptions import SinkError
from horizon_shards.signals import records_rejected
from horizon_shards.sinks.batch import Batch, Limits
from horizon_shards.sinks.database import DATABASE_KEYS, Rows
from horizon_shards.sinks.lines import record_of_line
from horizon_shards.sinks.options import KEYS, number
from horizon_shards.sinks.queued import QueuedSink
from horizon_shards.sinks.record import Record

#: What no repetition can cure. Everything else (a server that is away, a table that is not there yet) may pass.
REFUSALS = (IntegrityError, DataError, ValidationError, ValueError, TypeError)


class BatchedDatabaseSink(QueuedSink):
    """Stores up to ``BATCH_RECORDS`` rows of one model and shard with one ``bulk_create``, from a thread of its own.

    Of a batch that the database refuses each row is tried by itself. Rows that it will never take are told by the
    signal ``records_rejected``, set aside in ``SPILL_FOLDER`` or ``SPILL_TABLE``, and raised by the next :meth:`flush`.
    """

    known_options: ClassVar[frozenset[str]] = KEYS | DATABASE_KEYS | {"BATCH_RECORDS"}
    defaults: ClassVar[Mapping[str, Any]] = {"WORKERS": 1}

    def __init__(self, name: str = "default", options: Mapping[str, Any] | None = None) -> None:
        where = f"HORIZON_SINKS[{name!r}]['OPTIONS']"
        records = number(where, "BATCH_RECORDS", (options or {}).get("BATCH_RECORDS", 500), whole=True)
        self.limits = Limits(packs=records, batch_bytes=2**26, line_bytes=2**26, pack_bytes=0)  # a pack is one line
        self._rejections: list[BaseException] = []
        super().__init__(name, options)
        self.rows = Rows(name, self.options)

    def stream_of(self, record: Record) -> str:
        """A stream is what one shard stores of one model."""
        return f"{record.model}.{record.shard}"

    def send(self, batch: Batch) -> tuple[Sequence[int], BaseException | None]:
        """One ``bulk_create``; where the database refuses the batch, row by row."""
        lines = list(batch.lines())
        try:
            instances = [record_of_line(line).instance() for line in lines]
            self._close_old(type(instances[0]))
            self.rows.store_many(instances)
        except REFUSALS:
            self._store_each(lines)
        return (), None

    def _work(self) -> None:
        """A thread that ends closes its connections."""
        super()._work()
        connections.close_all()

    def _close_old(self, model: type[Model]) -> None:
        connections[self.rows.alias_of(model)].close_if_unusable_or_obsolete()

    def _store_each(self, lines: Sequence[bytes]) -> None:
        for line in lines:
            try:
                self.rows.store(record_of_line(line).instance())
            except REFUSALS as error:
                self._reject(line, error)

    def _reject(self, line: bytes, error: Exception) -> None:
        self._spilling.set_aside(line)
        self._rejections.append(error)
        records_rejected.send_robust(self, lines=[line], error=error)

    def flush(self, timeout_seconds: float | None = None) -> None:
        """Store what is held; ``SinkError`` where some of it is not stored in time, or was rejected since the last."""
        super().flush(timeout_seconds)
        rejections, self._rejections = self._rejections, []
        if rejections:
            raise SinkError(
                f"The database rejected {len(rejections):,} records of the sink {self.name!r}: {rejections[0]}"
            ) from rejections[0]
