"""How rows get into the database: by the ORM here, by COPY and MERGE on Redshift."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import islice
from typing import Any, NamedTuple, Protocol

from django.core.exceptions import ValidationError
from django.db import DataError, IntegrityError, connections, transaction
from django.db.models import AutoField, Model

from horizon_shards.loading.reading import Found, Reading
from horizon_shards.loading.targets import Target

REFUSALS = (IntegrityError, DataError, ValidationError, ValueError, TypeError)


class Stored(NamedTuple):
    """How many rows are new, and how many were there."""

    rows: int
    duplicates: int


#: Writes the rows of an object; runs in the transaction of the object.
Write = Callable[[], Stored]


class Road(Protocol):
    """A way into one database."""

    def prepared(self, reading: Reading, settle: Callable[[], None], digest: str) -> AbstractContextManager[Write]:
        """What can be done before the transaction, and undone after it.

        ``settle`` is called when all rows have been read; it raises where what was found is not to be loaded.
        """

    def tidy(self, known: Callable[[Iterable[str]], set[str]]) -> None:
        """Remove what a loader that was killed has left; ``known`` says which digests are of loaded objects."""


class ByInserts:
    """Batches of INSERT, of those rows whose events are not there: any database that Django knows."""

    def __init__(self, using: str, *, batch_rows: int = 500) -> None:
        self.using, self._batch_rows = using, batch_rows

    @contextmanager
    def prepared(self, reading: Reading, settle: Callable[[], None], digest: str) -> Iterator[Write]:
        """Nothing before the transaction: what is read is inserted."""

        def write() -> Stored:
            rows = duplicates = 0
            for target, batch in batches(reading.rows(), self._batch_rows):
                known = target.stored([found.row for found in batch])
                new = [found for found in batch if target.key(found.row) not in known]
                duplicates += len(batch) - len(new)
                rows += self._insert(target, new, reading)
            settle()
            return Stored(rows, duplicates)

        yield write

    def tidy(self, known: Callable[[Iterable[str]], set[str]]) -> None:
        """Nothing is outside of the transaction."""

    def _insert(self, target: Target, batch: list[Found], reading: Reading) -> int:
        try:
            with transaction.atomic(using=self.using):
                insert(target, [found.row for found in batch])
        except REFUSALS:
            return sum(self._insert_one(target, found, reading) for found in batch)
        return len(batch)

    def _insert_one(self, target: Target, found: Found, reading: Reading) -> int:
        try:
            with transaction.atomic(using=self.using):
                insert(target, [found.row])
        except REFUSALS as error:
            reading.refuse(found.piece, f"was refused by the database: {error}")
            return 0
        return 1


def insert(target: Target, rows: list[Model]) -> None:
    """INSERT the rows as they are: what ``save()`` would set now was set when they were collected."""
    numbered = [row for row in rows if row.pk is not None]
    for group in (numbered, [row for row in rows if row.pk is None]):
        # What the database numbers has no number yet.
        fields: Any = [field for field in target.fields if group is numbered or not isinstance(field, AutoField)]
        size = connections[target.using].ops.bulk_batch_size(fields, group) if group else 1
        for start in range(0, len(group), size):
            manager: Any = target.model._base_manager
            manager._insert(group[start : start + size], fields=fields, using=target.using, raw=True)


def batches(found: Iterator[Found], size: int) -> Iterator[tuple[Target, list[Found]]]:
    """Up to ``size`` rows of one target at a time."""
    while batch := list(islice(found, size)):
        for target in dict.fromkeys(one.target for one in batch):
            yield target, [one for one in batch if one.target is target]
