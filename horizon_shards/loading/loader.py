"""Loads the objects of a place, each in a transaction of its own and each once."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import PurePosixPath
from typing import Any

from django.db import DataError, IntegrityError, transaction

from horizon_shards.exceptions import ConfigurationError
from horizon_shards.loading.contents import Unreadable
from horizon_shards.loading.failed import described, is_failed
from horizon_shards.loading.ledger import ASKED, Ledger
from horizon_shards.loading.places import Place, Stored
from horizon_shards.loading.reading import HeldBack, Reading, Refused
from horizon_shards.loading.report import BadObject, Report
from horizon_shards.loading.roads import Road, batches
from horizon_shards.loading.targets import Targets


class Loader:
    """Reads ``source``, finds the models by ``targets``, and writes by ``road``; :attr:`report` grows meanwhile.

    An object with bad lines is held back, unless ``rejects`` says where to write them: then the others are loaded.
    ``others`` are places below the source that are none of it. Errors of the database and of places are raised; what
    was loaded before is loaded.
    """

    def __init__(
        self,
        source: Place,
        targets: Targets,
        road: Road,
        *,
        rejects: Place | None = None,
        others: Sequence[Place] = (),
    ) -> None:
        self.report = Report()
        self._source, self._targets, self._road, self._rejects = source, targets, road, rejects
        for place in (*others, rejects):
            if place is not None and f"{source.address.rstrip('/')}/".startswith(f"{place.address.rstrip('/')}/"):
                raise ConfigurationError(f"{source.address} lies in {place.address}, which is not read: name another.")
        self._others = tuple(f"{place.address.rstrip('/')}/" for place in (*others, rejects) if place is not None)
        self._ledger = Ledger(targets.using)

    def run(self) -> Report:
        """Load what is not loaded."""
        self._ledger.ensure()
        self._road.tidy(self._ledger.known)
        for stored in self._pending():
            self._load(stored)
        return self.report

    def try_out(self) -> Report:
        """Read what is not loaded, write nothing, and report what loading it would do."""
        seen: set[Any] = set()
        for stored in self._pending():
            with self._source.open(stored) as content:
                self._try(Reading(self._source.name(stored), stored.key, content, self._targets), seen)
        return self.report

    def _pending(self) -> Iterator[Stored]:
        """The objects of records that are not loaded; the others are counted or told."""
        objects, knows = iter(self._source.objects()), self._ledger.exists()
        while page := list(islice(objects, ASKED)):
            done = self._ledger.done(page) if knows else set()
            for stored in page:
                if self._source.name(stored).startswith(self._others):
                    continue
                if is_failed(self._source.inside(stored)):
                    self._tell_failed(stored)
                elif stored.digest in done:
                    self.report.known += 1
                else:
                    yield stored

    def _tell_failed(self, stored: Stored) -> None:
        with self._source.open(stored) as content:
            said = described(content, stored.key)
        self.report.failed.append(BadObject(self._source.name(stored), said))

    def _load(self, stored: Stored) -> None:
        """Load an object; where the database names pieces that it does not take, once more without them."""
        refused: dict[int, str] = {}
        with self._source.open(stored) as content:
            while True:
                reading = Reading(self._source.name(stored), stored.key, content, self._targets, refused)
                try:
                    self._attempt(stored, reading)
                except Refused as error:
                    refused |= error.reasons
                    continue
                except HeldBack:
                    self._hold_back(reading)
                except (Unreadable, ValueError, IntegrityError, DataError) as error:
                    self.report.bad_objects.append(BadObject(reading.name, str(error)))
                return

    def _attempt(self, stored: Stored, reading: Reading) -> None:
        with ExitStack() as stack:
            write = stack.enter_context(self._road.prepared(reading, lambda: self._settle(reading), stored.digest))
            stack.enter_context(transaction.atomic(using=self._targets.using, durable=True))
            self._ledger.lock()
            if self._ledger.done([stored]):
                self.report.known += 1  # another loader was quicker
                return
            rows, known = write()
            self._write_rejects(stored, reading)
            counts = {"rows": rows, "duplicates": known + reading.repeats, "rejected": len(reading.bad)}
            self._ledger.mark(stored, **counts)
        self.report.add(**counts)
        self.report.bad_lines += reading.bad

    def _settle(self, reading: Reading) -> None:
        if reading.bad and self._rejects is None:
            raise HeldBack

    def _hold_back(self, reading: Reading) -> None:
        self.report.bad_lines += reading.bad
        reason = f"is held back for {len(reading.bad):,} bad lines: nothing of it is loaded."
        self.report.bad_objects.append(BadObject(reading.name, reason))

    def _write_rejects(self, stored: Stored, reading: Reading) -> None:
        """The bad lines as they are, so that they can be loaded from there once they are cured."""
        if reading.bad and self._rejects is not None:
            content = "".join(f"{line.text}\n" for line in reading.bad).encode()
            key = f"{PurePosixPath(stored.bucket).name}/{self._source.inside(stored).removesuffix('.gz')}"
            self._rejects.write(f"{key}.{stored.digest[:12]}.jsonl", io.BytesIO(content))

    def _try(self, reading: Reading, seen: set[Any]) -> None:
        new, duplicates = set[Any](), 0
        try:
            for target, batch in batches(reading.rows(), ASKED):
                known = target.stored([found.row for found in batch])
                for key in (target.key(found.row) for found in batch):
                    is_known = key in known or (target, key) in seen
                    duplicates += is_known
                    if not is_known:
                        new.add((target, key))
            self._settle(reading)
        except HeldBack:
            self._hold_back(reading)
        except Unreadable as error:
            self.report.bad_objects.append(BadObject(reading.name, str(error)))
        else:
            seen |= new
            self.report.add(rows=len(new), duplicates=duplicates + reading.repeats, rejected=len(reading.bad))
            self.report.bad_lines += reading.bad
