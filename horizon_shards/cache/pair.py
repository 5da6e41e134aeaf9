"""What two caches know of each other: each keeps for the other whether it has missed writes."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

from horizon_shards.cache.side import Missed, Side
from horizon_shards.signals import cache_failed, cache_healed

#: A key of ours in the users' caches; the alias of the other side follows.
MISSED, HEALED = "horizon_shards:missed:", "horizon_shards:healed:"


class Pair:
    """Both sides, and the counters by which every process knows of what one of them missed.

    The other side counts the writes that a side missed, and up to which count it has been emptied since. A side
    whose counts differ is *dirty*: nobody reads it, until somebody has emptied it.
    """

    def __init__(self, aliases: tuple[str, str], *, cooldown_seconds: float, settle_seconds: float) -> None:
        self.sides = (Side(aliases[0], cooldown_seconds), Side(aliases[1], cooldown_seconds))
        self.settle_seconds = settle_seconds

    def other(self, side: Side) -> Side:
        """The side that is not this one."""
        return self.sides[1] if side is self.sides[0] else self.sides[0]

    def ask(self, side: Side, name: str, *args: Any, **kwargs: Any) -> Any:
        """Read from a side; ``Missed`` where it may not be trusted, is not asked or fails."""
        if not side.is_asked or not self.is_clean(side):
            raise Missed(side.alias)
        found = self._call(side, name, *args, **kwargs)
        self._look_after(self.other(side))
        return found

    def _look_after(self, side: Side) -> None:
        """Heal a side that nobody reads because the other one has everything: it will be needed one day."""
        if time.monotonic() >= side.look_at:
            side.look_at = time.monotonic() + side.cooldown_seconds
            if side.is_asked:
                self.is_clean(side)

    def tell(self, side: Side, name: str, *args: Any, **kwargs: Any) -> Any:
        """Write to a side; where it misses the write, the other side knows before ``Missed`` is raised."""
        try:
            return self._call(side, name, *args, **kwargs)
        except Missed:
            self.mark(side)
            raise

    def _call(self, side: Side, name: str, *args: Any, **kwargs: Any) -> Any:
        try:
            return side.call(name, *args, **kwargs)
        except Missed as missed:
            if missed.__cause__ is not None:
                cache_failed.send_robust(type(self), alias=side.alias, error=missed.__cause__)
            raise

    def mark(self, side: Side) -> None:
        """Count a missed write on the other side; where that is away too, this process remembers it."""
        keeper, key = self.other(side), MISSED + side.alias
        side.untold = side.was_dirty = True
        with suppress(Missed):
            try:
                self._call(keeper, "incr", key)
            except ValueError:
                if not self._call(keeper, "add", key, 1, timeout=None):
                    self._call(keeper, "incr", key)
            side.untold = False

    def is_clean(self, side: Side) -> bool:
        """Whether the side has missed nothing; it is emptied here once that is possible."""
        if side.untold:
            self.mark(side)
        if side.untold:
            return False
        counts = self._counts(side)
        if counts is None:
            return not side.was_dirty
        side.was_dirty = counts[0] != counts[1]
        if side.was_dirty:
            self._heal(side, counts[0])
        return not side.was_dirty

    def _counts(self, side: Side) -> tuple[int, int] | None:
        """How many writes the side missed, and up to which one it has been emptied; None where nobody knows."""
        missed, healed = MISSED + side.alias, HEALED + side.alias
        try:
            found = self._call(self.other(side), "get_many", [missed, healed])
        except Missed:
            return None
        return found.get(missed, 0), found.get(healed, 0)

    def _heal(self, side: Side, count: int) -> None:
        """Empty the side once it has answered for a while: writes that waited on its sockets are through by then."""
        if not side.is_asked or not side.lock.acquire(blocking=False):
            return
        try:
            if side.answers_since is None:
                self._call(side, "clear")  # which every node has to answer
                side.answers_since = time.monotonic()
            elif time.monotonic() - side.answers_since >= self.settle_seconds:
                self._empty(side, count)
        except Missed:
            pass
        finally:
            side.lock.release()

    def _empty(self, side: Side, count: int) -> None:
        keeper = self.other(side)
        kept = self._counts(keeper)
        self._call(side, "clear")
        if kept is not None and kept[0] != kept[1]:
            self.mark(keeper)  # what was known of it has just been emptied
        self._call(keeper, "set", HEALED + side.alias, count, timeout=None)
        side.answers_since = None
        side.was_dirty = False
        cache_healed.send_robust(type(self), alias=side.alias)
