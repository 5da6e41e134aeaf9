"""Which objects are loaded: a table beside the rows, so that both are there or neither is."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from typing import Any

from django.apps.registry import Apps
from django.db import DatabaseError, IntegrityError, connections, models, transaction
from django.utils import timezone

from horizon_shards.loading.places import Stored

#: The row that loaders lock, one after the other.
LOCK = "lock"
#: How many objects are asked for at once.
ASKED = 500


@cache
def loaded_object() -> Any:
    """The model of the table. As that of migrations it belongs to no app: each database that is loaded into has one."""

    class LoadedObject(models.Model):
        """An object whose rows are in this database; ``digest`` names its bucket, key and content."""

        digest = models.CharField(max_length=64, primary_key=True)
        bucket = models.CharField(max_length=1024)
        key = models.CharField(max_length=1024)
        row_count = models.BigIntegerField(default=0)
        duplicate_count = models.BigIntegerField(default=0)
        rejected_count = models.BigIntegerField(default=0)
        loaded_at = models.DateTimeField()

        class Meta:
            apps = Apps()
            app_label = "horizon_shards"
            db_table = "horizon_loaded_object"

        def __str__(self) -> str:
            return f"{self.bucket}/{self.key}"

    return LoadedObject


class Ledger:
    """The table of one database."""

    def __init__(self, using: str) -> None:
        self.using = using
        self._model = loaded_object()

    def exists(self) -> bool:
        """Whether the table is there."""
        connection = connections[self.using]
        with connection.cursor() as cursor:
            return self._model._meta.db_table in connection.introspection.table_names(cursor)

    def ensure(self) -> None:
        """Make the table and the row that is locked, unless they are there."""
        try:
            if not self.exists():
                with connections[self.using].schema_editor() as editor:
                    editor.create_model(self._model)
        except DatabaseError:
            if not self.exists():  # another loader may have made it a moment ago
                raise
        if not self._rows().filter(pk=LOCK).exists():
            with suppress(IntegrityError), transaction.atomic(using=self.using):
                self._insert(digest=LOCK)

    def done(self, objects: Iterable[Stored]) -> set[str]:
        """The digests of those objects that are loaded."""
        return self.known(stored.digest for stored in objects)

    def known(self, digests: Iterable[str]) -> set[str]:
        """Those of the digests that are of loaded objects."""
        asked, rows = list(digests), self._rows()
        return {
            digest
            for start in range(0, len(asked), ASKED)
            for digest in rows.filter(pk__in=asked[start : start + ASKED]).values_list("digest", flat=True)
        }

    def lock(self) -> None:
        """Wait until no other loader is in its transaction, and keep the others waiting until this one has ended."""
        connection = connections[self.using]
        if connection.vendor == "redshift":  # it has no locks of rows
            with connection.cursor() as cursor:
                cursor.execute(f"LOCK TABLE {connection.ops.quote_name(self._model._meta.db_table)}")
        else:
            self._rows().filter(pk=LOCK).update(loaded_at=timezone.now())

    def mark(self, stored: Stored, *, rows: int, duplicates: int, rejected: int) -> None:
        """The object is loaded, as soon as the transaction is committed."""
        self._insert(
            digest=stored.digest,
            bucket=stored.bucket,
            key=stored.key,
            row_count=rows,
            duplicate_count=duplicates,
            rejected_count=rejected,
        )

    def _insert(self, **values: Any) -> None:
        self._rows().create(loaded_at=timezone.now(), **values)

    def _rows(self) -> Any:
        return self._model._base_manager.using(self.using)
