"""The secrets of a job on their way through the queue: encrypted, and good for one website."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from screenshot.errors import SealError

if TYPE_CHECKING:
    from cryptography.fernet import MultiFernet

NEW_KEY = 'python -c "from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())"'


def seal(secrets: Mapping[str, Any], *, site_id: int, keys: Sequence[str]) -> str:
    """The secrets, encrypted with the first key; raises ``SealError`` where there is none."""
    return _box(keys).encrypt(json.dumps({"site": site_id, "secrets": secrets}).encode()).decode("ascii")


def unseal(token: str, *, site_id: int, keys: Sequence[str]) -> dict[str, Any]:
    """What was sealed with one of the keys for this website; raises ``SealError`` for anything else."""
    from cryptography.fernet import InvalidToken

    try:
        found = json.loads(_box(keys).decrypt(token.encode()))
    except InvalidToken as error:
        raise SealError(
            "The secrets of a job cannot be opened: they were sealed with a key that is not among SCREENSHOT_KEYS "
            "here, or were changed. Keep an old key at the end of SCREENSHOT_KEYS until no job of its time is left."
        ) from error
    if found["site"] != site_id:
        raise SealError("The secrets of a job were sealed for another website.")
    secrets: dict[str, Any] = found["secrets"]
    return secrets


def _box(keys: Sequence[str]) -> MultiFernet:
    try:
        from cryptography.fernet import Fernet, MultiFernet
    except ImportError as error:
        raise SealError("Jobs with secrets need cryptography: pip install 'horizon-shards[screenshot]'.") from error
    if not keys:
        raise SealError(f"A job has secrets, and SCREENSHOT_KEYS is not set. Make a key: {NEW_KEY}")
    try:
        return MultiFernet([Fernet(key) for key in keys])
    except ValueError:
        # The error of the library may show the key.
        raise SealError(f"One of SCREENSHOT_KEYS is no key of Fernet. Make one: {NEW_KEY}") from None
