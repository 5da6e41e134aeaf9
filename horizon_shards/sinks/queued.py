"""A sink that holds records for a moment and sends them in batches, from threads of its own."""

from __future__ import annotations

import random
import threading
import time
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from django.db.models import Model

from horizon_shards.exceptions import RecordRefused, SinkError, SinkFull, SpillFailed
from horizon_shards.signals import sink_delivered, sink_failed
from horizon_shards.sinks import lifetime
from horizon_shards.sinks.base import Sink
from horizon_shards.sinks.batch import Batch, Limits
from horizon_shards.sinks.lines import line_of
from horizon_shards.sinks.options import KEYS, read_queue_options
from horizon_shards.sinks.pending import Pending
from horizon_shards.sinks.record import Record, as_record
from horizon_shards.sinks.spilling import Spilling

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.05, 5.0


class QueuedSink(Sink):
    """Packs records into batches by stream; full or lingering batches are sent by ``WORKERS`` threads.

    What fails is sent again, with full jitter, until it has arrived: nothing is ever dropped. What is held is
    bounded by ``MAX_QUEUED_BYTES``; beyond, ``OVERFLOW`` says whether :meth:`put` raises, waits or spills.
    """

    known_options: ClassVar[frozenset[str]] = KEYS
    #: Options that are others here than :class:`QueueOptions` has them.
    defaults: ClassVar[Mapping[str, Any]] = {}
    #: What one call may carry.
    limits: Limits

    def __init__(self, name: str = "default", options: Mapping[str, Any] | None = None) -> None:
        super().__init__(name, options)
        self.settings = read_queue_options(name, {**self.defaults, **self.options})
        self.last_error: BaseException | None = None
        self._is_registered = False
        self._start_anew()

    def _start_anew(self) -> None:
        self._pending = Pending(self.settings.linger_seconds)
        self._spilling = Spilling(self.name, self.settings, self.limits)
        self._threads: list[threading.Thread] = []
        self._ending = False

    @abstractmethod
    def stream_of(self, record: Record) -> str:
        """The name of the stream that a record goes to."""

    @abstractmethod
    def send(self, batch: Batch) -> tuple[Sequence[int], BaseException | None]:
        """Send once; the indexes of the packs that have not arrived, and why. Raising means: none has."""

    # -- putting

    def put(self, record: Record | Model) -> None:
        """Take one record; ``SinkFull``, ``SpillFailed`` or ``RecordRefused`` where it is not taken."""
        record = as_record(record)
        line = line_of(record)
        if len(line) > self.limits.line_bytes:
            raise RecordRefused(
                f"A record of {record.model} has {len(line):,} bytes as JSON; {self.name!r} takes at most "
                f"{self.limits.line_bytes:,}: store what is large elsewhere, and send its key."
            )
        self._put_line(self.stream_of(record), line)

    def start(self) -> None:
        """Begin to send, also what an earlier process has spilled; the first :meth:`put` does it too."""
        if not self._is_registered:
            self._is_registered = True
            lifetime.register(self)
        with self._pending.changed:
            if len(self._threads) < self.settings.workers:
                self._start_thread()

    def _put_line(self, stream: str, line: bytes) -> None:
        if len(self._threads) < self.settings.workers:
            self.start()
        with self._pending.changed:
            if self._ending:
                raise SinkError(f"The sink {self.name!r} is closed: the process is ending.")
            if self._pending.held + len(line) > self.settings.max_queued_bytes and not self._make_room(stream, line):
                return
            self._add(stream, line)

    def _add(self, stream: str, line: bytes) -> None:
        batch = self._pending.open.get(stream)
        if batch is not None and not batch.has_room(line, self.limits):
            self._pending.close(batch)
            batch = None
        if batch is None:
            batch = self._open(stream)
        if batch.segment is not None:  # kept there first: where that fails, the record is not taken
            batch.segment.append(line)
        batch.add(line, self.limits)
        self._pending.held += len(line)

    def _open(self, stream: str) -> Batch:
        batch = Batch(stream)
        if self._spilling.is_journal:
            batch.segment = self._spilling.create(stream)
        self._pending.open[stream] = batch
        self._pending.changed.notify()
        return batch

    def _make_room(self, stream: str, line: bytes) -> bool:
        """Whether there is room for the line now; False where it was spilled."""
        if self.settings.overflow == "spill":
            self._spilling.write(stream, line)
            self._pending.changed.notify()
            return False
        if self.settings.overflow == "block" and self._pending.changed.wait_for(
            lambda: self._has_room(line), self.settings.block_seconds
        ):
            return True
        raise SinkFull(
            f"The sink {self.name!r} holds {self._pending.held:,} bytes, and MAX_QUEUED_BYTES is "
            f"{self.settings.max_queued_bytes:,}: what it writes to does not keep up, or does not answer."
        ) from self.last_error

    def _has_room(self, line: bytes) -> bool:
        return self._pending.held + len(line) <= self.settings.max_queued_bytes

    # -- sending

    def _start_thread(self) -> None:
        thread = threading.Thread(target=self._work, name=f"sink-{self.name}", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # The interpreter is ending: flush() at exit sends what is held.
            return
        self._threads.append(thread)

    def _work(self) -> None:
        pending = self._pending
        while (batch := self._next(pending)) is not None:
            self._deliver(batch, pending)

    def _next(self, pending: Pending) -> Batch | None:
        """The next batch that is due, waiting for it; None where this thread is to end."""
        while True:
            with pending.changed:
                while True:
                    if self._ending or pending is not self._pending:
                        return None
                    pending.close_old()
                    if (batch := pending.take()) is not None:
                        return batch
                    seconds = pending.seconds_to_next()
                    if pending.held <= self.settings.max_queued_bytes // 2:
                        if self._spilling.is_time():
                            self._spilling.release_growing()
                            break
                        seconds = self._spilling.shorten(seconds)
                    pending.changed.wait(seconds)
            self._adopt(pending)

    def _adopt(self, pending: Pending) -> None:
        """Take a segment into memory, where there is one."""
        try:
            batches = self._spilling.adopt()
        except (OSError, SpillFailed) as error:
            self._tell("", 0, error)
            return
        with pending.changed:
            for batch in batches:
                pending.held += batch.size
                pending.close(batch)

    def _deliver(self, batch: Batch, pending: Pending) -> None:
        if batch.segment is not None and not batch.segment.is_mine():
            self._leave(batch, pending)
            return
        began, count, size = time.monotonic(), len(batch), batch.size
        try:
            missing, error = self.send(batch)
        except Exception as raised:
            missing, error = range(len(batch.packs)), raised
        with pending.changed:
            batch.keep(missing)
            pending.held -= size - batch.size
            problem = self._settle(batch, pending)
        if delivered := count - len(batch):
            sink_delivered.send_robust(self, stream=batch.stream, records=delivered, seconds=time.monotonic() - began)
        if missing:
            self._tell(batch.stream, len(batch), error)
        if problem is not None:
            self._tell(batch.stream, 0, problem)

    def _leave(self, batch: Batch, pending: Pending) -> None:
        """Somebody has taken over what this batch was kept in, and sends it."""
        with pending.changed:
            if batch.segment is not None:
                batch.segment.release()
            batch.segment = None
            pending.drop(batch)

    def _tell(self, stream: str, records: int, error: BaseException | None) -> None:
        self.last_error = error
        sink_failed.send_robust(self, stream=stream, records=records, error=error)

    def _settle(self, batch: Batch, pending: Pending) -> SpillFailed | None:
        """What arrived is forgotten; what did not waits for its next attempt, or is spilled."""
        if not batch.packs:
            problem = self._spilling.arrived(batch)
            pending.drop(batch)
            return problem
        batch.attempts += 1
        if batch.attempts >= self.settings.spill_after_attempts and self._spilling.keep(batch):
            pending.drop(batch)
        else:
            pending.close(batch, due=time.monotonic() + pause_seconds(batch.attempts))
        return None

    # -- the end

    def flush(self, timeout_seconds: float | None = None) -> None:
        """Send what is held, in this thread too; ``SinkError`` where some of it has not arrived in time."""
        give_up_at = time.monotonic() + (timeout_seconds or self.settings.flush_seconds)
        pending = self._pending
        with pending.changed:
            pending.close_all()
            waiting = set(pending.all())
        while waiting:
            with pending.changed:
                batch = self._take_until(pending, waiting, give_up_at)
            if batch is not None:
                self._deliver(batch, pending)

    def _take_until(self, pending: Pending, waiting: set[Batch], give_up_at: float) -> Batch | None:
        """A batch that is due; None where all of ``waiting`` are gone, or it is worth looking again."""
        waiting &= set(pending.all())
        if not waiting or (batch := pending.take()) is not None:
            return batch if waiting else None
        left = give_up_at - time.monotonic()
        if left <= 0:
            count = sum(map(len, waiting))
            raise SinkError(f"The sink {self.name!r} still holds {count:,} records that have not arrived.") from (
                self.last_error
            )
        next_one = pending.seconds_to_next()
        pending.changed.wait(min(left, 0.5 if next_one is None else max(next_one, 0.001)))
        return None

    def close(self) -> None:
        """Send what is held within ``FLUSH_SECONDS``, else spill it; ``SinkError`` where that fails too."""
        try:
            self.flush()
        except SinkError:
            if not self._keep_all():
                raise
        finally:
            self._ending = True
            with self._pending.changed:
                self._pending.changed.notify_all()
            self._spilling.close()

    def _keep_all(self) -> bool:
        """Whether all that waits is spilled now."""
        with self._pending.changed:
            kept = [self._spilling.keep(batch) for batch in list(self._pending.all())]
        return all(kept)

    # -- fork

    def before_fork(self) -> None:
        """Nothing changes while the process is copied."""
        self._pending.changed.acquire()

    def after_fork_in_parent(self) -> None:
        """Go on."""
        self._pending.changed.release()

    def after_fork_in_child(self) -> None:
        """Begin with nothing: what the parent holds, the parent sends."""
        for segment in {batch.segment for batch in self._pending.all() if batch.segment is not None}:
            segment.forget()
        self._spilling.forget()
        self._start_anew()


def pause_seconds(attempts: int) -> float:
    """Full jitter: anything up to a pause that doubles, so that those who failed together do not return together."""
    return random.uniform(0, min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2**attempts))  # noqa: S311
