"""The frozen hash of shard keys: a change of one byte here is lost data.

Trailing spaces of text are dropped, because the PAD SPACE collations of MySQL and MariaDB call ``'a'`` and
``'a '`` equal: both must be on one shard. Unicode is *not* normalized: the tables of ``unicodedata`` change with
the Python version, and a hash must not.
"""

from __future__ import annotations

import datetime
import uuid
from hashlib import blake2b
from typing import Any

from horizon_shards.exceptions import InvalidShardKey

#: Texts of keys whose canonical bytes are longer are digests: the column has 200 characters.
LONGEST_PLAIN_BYTES = 96

_CURES = {
    "NoneType": "a row without a key has no shard: give the key field a value",
    "bool": "a key of two values spreads over two shards at most: use another field, or int(value)",
    "float": "equal numbers may be stored differently: use an int or a string",
    "Decimal": "Decimal('1') and Decimal('1.0') are equal but written differently: use an int or a string",
    "datetime": "precision and time zone differ between databases: use its date(), or an int",
    "bytes": "use its hex() or a UUID",
}


def canonical_bytes(key: Any) -> bytes:
    """The key as bytes: a letter for its type, then its value; the same on every platform and version.

    Keys are ``int``, ``str``, ``uuid.UUID``, ``datetime.date`` and non-empty tuples of these. Raises
    ``InvalidShardKey`` for anything else.
    """
    if isinstance(key, tuple):
        parts = [_scalar(part) for part in key]
        if not parts:
            raise InvalidShardKey("A composite shard key needs at least one part; () has none.")
        return b"t" + b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    return _scalar(key)


def hash64(data: bytes) -> int:
    """64 bits of BLAKE2b, big-endian."""
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "big")


def hash_key(key: Any) -> int:
    """The 64-bit hash of a shard key."""
    return hash64(canonical_bytes(key))


def normalized(key: Any) -> Any:
    """The key such that keys of one hash class are equal: text without trailing spaces. For caches."""
    if isinstance(key, tuple):
        return tuple(normalized(part) for part in key)
    return key.rstrip(" ") if isinstance(key, str) else key


def stored_text(key: Any) -> str:
    """The key as ASCII text that every collation compares alike: hex digits, or those of a digest."""
    data = canonical_bytes(key)
    if len(data) <= LONGEST_PLAIN_BYTES:
        return "x" + data.hex()
    return "h" + blake2b(data, digest_size=32).hexdigest()


def label_of(key: Any) -> str:
    """The key for human eyes, in at most 200 ASCII characters."""
    if isinstance(key, tuple):
        return ", ".join(label_of(part) for part in key)[:200]
    return (ascii(key) if isinstance(key, int | str) else str(key))[:200]


def _scalar(key: Any) -> bytes:
    if isinstance(key, bool):
        raise _refused(key)
    if isinstance(key, int):
        return b"i" + b"%d" % key
    if isinstance(key, str):
        return b"s" + _utf8(key.rstrip(" "))
    if isinstance(key, uuid.UUID):
        return b"u" + key.bytes
    if isinstance(key, datetime.date) and not isinstance(key, datetime.datetime):
        return b"d" + key.isoformat().encode("ascii")
    raise _refused(key)


def _utf8(text: str) -> bytes:
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InvalidShardKey(f"The shard key {text!a} is no valid Unicode: {error.reason}.") from error


def _refused(key: Any) -> InvalidShardKey:
    name = type(key).__name__
    cure = _CURES.get(name, "keys are int, str, UUID, date, or tuples of them")
    return InvalidShardKey(f"{key!r} of type {name} cannot be a shard key: {cure}.")
