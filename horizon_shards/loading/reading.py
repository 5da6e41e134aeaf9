"""One pass over an object: its rows, and beside them what is no row."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import IO, Any, NamedTuple

from django.core.exceptions import ValidationError
from django.db.models import Model

from horizon_shards.loading.contents import Piece, pieces
from horizon_shards.loading.report import BadLine
from horizon_shards.loading.targets import Target, Targets


class Found(NamedTuple):
    """A row, where it goes, and what it was read from."""

    target: Target
    row: Model
    piece: Piece


class HeldBack(Exception):  # noqa: N818
    """An object that has bad lines, which nobody said where to put: nothing of it is loaded."""


class Refused(Exception):  # noqa: N818
    """The database did not take some pieces of an object: ``reasons`` by their ordinals."""

    def __init__(self, reasons: dict[int, str]) -> None:
        super().__init__(str(reasons))
        self.reasons = reasons


class Reading:
    """``bad`` and ``repeats`` are complete when the rows have been read.

    ``refused`` says of pieces, by their ordinals, why the database did not take them when it was tried before.
    """

    def __init__(
        self, name: str, key: str, content: IO[bytes], targets: Targets, refused: Mapping[int, str] | None = None
    ) -> None:
        self.name, self.bad, self.repeats = name, list[BadLine](), 0
        self._key, self._content, self._targets, self._refused = key, content, targets, refused or {}

    def rows(self) -> Iterator[Found]:
        """The rows whose events are new in this object; raises ``Unreadable`` for what cannot be read at all."""
        seen: dict[Target, set[Any]] = defaultdict(set)
        self._content.seek(0)
        for piece in pieces(self._content, self._key):
            found = self._row(piece)
            if found is None:
                continue
            key = found.target.key(found.row)
            if key in seen[found.target]:
                self.repeats += 1
                continue
            seen[found.target].add(key)
            yield found

    def refuse(self, piece: Piece, reason: str) -> None:
        """A piece is no row."""
        self.bad.append(BadLine(self.name, piece.line, reason, piece.text))

    def _row(self, piece: Piece) -> Found | None:
        problem = piece.problem or self._refused.get(piece.ordinal, "")
        if problem:
            self.refuse(piece, problem)
            return None
        try:
            target = self._targets.of(piece.document)
            return Found(target, target.row(piece.document), piece)
        except (ValueError, TypeError, ValidationError) as error:
            self.refuse(piece, str(error))
            return None
