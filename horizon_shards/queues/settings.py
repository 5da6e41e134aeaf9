"""``OPTIONS`` of a queue backend, read into a frozen dataclass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from django.conf import settings

from horizon_shards.conf import ENGINE, require_known
from horizon_shards.exceptions import ConfigurationError

#: What SQS takes (botocore's model of the API, 2026-11): bytes of a message, seconds of a delay and of invisibility.
MAX_BODY_BYTES = 1024 * 1024
MAX_DELAY_SECONDS = 900
MAX_HIDDEN_SECONDS = 43_200
MAX_WAIT_SECONDS = 20


@dataclass(frozen=True, slots=True)
class QueueSettings:
    """Where the queues are, how a try goes about, and what comes after it.

    The names in the settings are these in capitals.
    """

    region: str | None = None
    endpoint: str | None = None
    client: Mapping[str, Any] = field(default_factory=dict)
    queue_prefix: str = ""
    bucket: str | None = None
    payload_prefix: str = "task-payloads/"
    offload_bytes: int = 256 * 1024
    claims: str = "default"
    claim_days: float = 15
    visibility_seconds: float = 60
    timeout_seconds: float = 300
    kill_seconds: float = 30
    retry_seconds: float = 10
    max_retry_seconds: float = 3_600
    wait_seconds: int = MAX_WAIT_SECONDS


#: Key -> the least and the most that a number may be.
RANGES: dict[str, tuple[float, float]] = {
    "OFFLOAD_BYTES": (1_024, MAX_BODY_BYTES),
    "CLAIM_DAYS": (0, 36_500),
    "VISIBILITY_SECONDS": (1, MAX_HIDDEN_SECONDS),
    "TIMEOUT_SECONDS": (0.001, MAX_HIDDEN_SECONDS),
    "KILL_SECONDS": (0.1, MAX_HIDDEN_SECONDS),
    "RETRY_SECONDS": (0, MAX_HIDDEN_SECONDS),
    "MAX_RETRY_SECONDS": (0, MAX_HIDDEN_SECONDS),
    "WAIT_SECONDS": (0, MAX_WAIT_SECONDS),
}
WHOLE = {"OFFLOAD_BYTES", "WAIT_SECONDS"}
KEYS = frozenset(item.name.upper() for item in fields(QueueSettings))


def read_queue_settings(alias: str, options: Mapping[str, Any]) -> QueueSettings:
    """The options of the backend ``alias``; raises ``ConfigurationError`` that names the option."""
    where = f"TASKS[{alias!r}]['OPTIONS']"
    require_known(options, KEYS, where)
    read = QueueSettings(**{key.lower(): _read(where, key, value) for key, value in options.items()})
    entry = settings.DATABASES.get(read.claims)
    if entry is None or entry.get("ENGINE") == ENGINE:
        raise ConfigurationError(
            f"{where}['CLAIMS'] is {read.claims!r}, which is no database that can hold a plain table: "
            "name an alias of DATABASES that is not a logical one."
        )
    return read


def _read(where: str, key: str, value: Any) -> Any:
    if key in RANGES:
        return _number(where, key, value)
    if key == "CLIENT":
        if not isinstance(value, Mapping):
            raise ConfigurationError(
                f"{where}['CLIENT'] must be a dict of arguments of boto3's client(), not {value!r}."
            )
        return value
    may_be_none = key in {"REGION", "ENDPOINT", "BUCKET"}
    if not isinstance(value, str) and not (value is None and may_be_none):
        raise ConfigurationError(f"{where}[{key!r}] must be text, not {value!r}.")
    return value


def _number(where: str, key: str, value: Any) -> Any:
    least, most = RANGES[key]
    kinds = (int,) if key in WHOLE else (int, float)
    if not isinstance(value, kinds) or isinstance(value, bool) or not least <= value <= most:
        kind = "whole number" if key in WHOLE else "number"
        raise ConfigurationError(f"{where}[{key!r}] must be a {kind} from {least:,} to {most:,}, not {value!r}.")
    return value
