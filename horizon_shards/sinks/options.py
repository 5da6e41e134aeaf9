"""The options of sinks that hold records, read into a frozen dataclass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, cast

from django.apps import apps
from django.conf import settings

from horizon_shards.conf import ENGINE
from horizon_shards.exceptions import ConfigurationError

Overflow = Literal["raise", "block", "spill"]
SpillWhen = Literal["overflow", "always"]
CHOICES = {"OVERFLOW": ("raise", "block", "spill"), "SPILL_WHEN": ("overflow", "always")}


@dataclass(frozen=True, slots=True)
class QueueOptions:
    """How much is held for how long, by whom it is handed on, and what happens to what does not fit.

    The names in the settings are these in capitals.
    """

    linger_seconds: float = 1.0
    max_queued_bytes: int = 64 * 1024 * 1024
    workers: int = 4
    overflow: Overflow = "raise"
    block_seconds: float = 5.0
    spill_folder: Path | None = None
    spill_table: str | None = None
    spill_when: SpillWhen = "overflow"
    spill_after_attempts: int = 8
    resend_seconds: float = 5.0
    lease_seconds: float = 120.0
    flush_seconds: float = 30.0


KEYS = frozenset(field.name.upper() for field in fields(QueueOptions))


def read_queue_options(name: str, given: Mapping[str, Any]) -> QueueOptions:
    """The options of the sink called ``name``; raises ``ConfigurationError`` that names the option."""
    where = f"HORIZON_SINKS[{name!r}]['OPTIONS']"
    values = {key.lower(): _read(where, key, value) for key, value in given.items() if key in KEYS}
    options = QueueOptions(**values)
    _require_place(where, options)
    return options


def _require_place(where: str, options: QueueOptions) -> None:
    """One place where it spills, and at most one."""
    places = [place for place in (options.spill_folder, options.spill_table) if place is not None]
    if not places and (options.overflow == "spill" or options.spill_when == "always"):
        raise ConfigurationError(
            f"{where} spills and needs SPILL_FOLDER, a folder on a disk of this machine, or SPILL_TABLE, an alias of "
            "DATABASES."
        )
    if len(places) > 1:
        raise ConfigurationError(f"{where} has SPILL_FOLDER and SPILL_TABLE: spill to one of them.")


def _read(where: str, key: str, value: Any) -> Any:
    if key == "SPILL_FOLDER":
        return None if value is None else Path(cast("str | Path", value))
    if key == "SPILL_TABLE":
        return None if value is None else _table(where, value)
    if key in CHOICES:
        if value not in CHOICES[key]:
            raise ConfigurationError(f"{where}[{key!r}] must be one of {', '.join(CHOICES[key])}, not {value!r}.")
        return value
    return number(where, key, value, whole=not key.endswith("SECONDS"))


def _table(where: str, alias: Any) -> Any:
    """An alias that can hold the plain table of spilled records."""
    entry = settings.DATABASES.get(alias) if isinstance(alias, str) else None
    if entry is None or entry.get("ENGINE") == ENGINE:
        raise ConfigurationError(
            f"{where}['SPILL_TABLE'] is {alias!r}, which is no database that can hold a plain table: "
            "name an alias of DATABASES that is not a logical one."
        )
    if not apps.is_installed("horizon_shards.sinks"):
        raise ConfigurationError(f"{where}['SPILL_TABLE'] needs 'horizon_shards.sinks' in INSTALLED_APPS.")
    return alias


def number(where: str, key: str, value: Any, *, whole: bool) -> Any:
    """A number above 0; ``ConfigurationError`` for anything else."""
    kinds = (int,) if whole else (int, float)
    if not isinstance(value, kinds) or isinstance(value, bool) or value <= 0:
        kind = "whole number" if whole else "number"
        raise ConfigurationError(f"{where}[{key!r}] must be a {kind} above 0, not {value!r}.")
    return value
