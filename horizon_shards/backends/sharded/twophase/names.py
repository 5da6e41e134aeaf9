"""Names of transactions in two phases, as the servers list them.

``hs1.<mark of the directory>.<random>`` names a transaction, and a digest of the shard's name its branch there:
several shards may be databases of one server, and several projects may use it.
"""

from __future__ import annotations

import re
import secrets
from hashlib import sha256
from typing import Final

#: The version of the form: what a crash has left must be known again after an upgrade.
PREFIX: Final = "hs1"
GID: Final = re.compile(r"hs1\.(?P<mark>[0-9a-f]{16})\.[0-9a-f]{24}")


def new_gid(mark: str) -> str:
    """A name for a transaction, of 45 characters (XA allows 64)."""
    return f"{PREFIX}.{mark}.{secrets.token_hex(12)}"


def branch_of(shard: str) -> str:
    """What a shard's branches end with: 16 hexadecimal digits."""
    return sha256(shard.encode()).hexdigest()[:16]


def mark_of(gid: str) -> str | None:
    """The mark of the directory, or None for a name that is not of this form."""
    found = GID.fullmatch(gid)
    return None if found is None else found["mark"]
