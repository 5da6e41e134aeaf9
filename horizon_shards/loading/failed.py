"""What Firehose could not deliver and left beside the rest: told, and never taken for records."""

from __future__ import annotations

import json
from collections import Counter
from typing import IO

from horizon_shards.loading.contents import Piece, Unreadable, pieces


def is_failed(key: str) -> bool:
    """Whether one of the folders of a key is Firehose's: ``processing-failed`` and its like, or ``errors``."""
    return any(folder.endswith("-failed") or folder == "errors" for folder in key.split("/")[:-1])


def described(content: IO[bytes], key: str) -> str:
    """What is in such an object: the records that failed by the code of their error, or the objects of a manifest."""
    try:
        found = list(pieces(content, key))
    except Unreadable as error:
        return f"a failed delivery that {error}"
    listed = _manifest(content, found)
    if listed is not None:
        return f"a manifest of {listed:,} objects that Firehose did not load; they are loaded from where they are."
    codes = Counter(str(piece.document.get("errorCode", "no errorCode")) for piece in found)
    told = ", ".join(f"{code}: {count:,}" for code, count in codes.most_common(3))
    return f"{len(found):,} records that Firehose could not process, not loaded ({told})."


def _manifest(content: IO[bytes], found: list[Piece]) -> int | None:
    content.seek(0)
    try:
        document = json.load(content)
    except ValueError:
        return None
    entries = document.get("entries") if isinstance(document, dict) else None
    return len(entries) if isinstance(entries, list) else None
