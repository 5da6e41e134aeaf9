"""The sinks of the settings, each made once in a process."""

from __future__ import annotations

import difflib
import threading
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.core.signals import setting_changed
from django.db import router
from django.db.models import Model
from django.utils.module_loading import import_string

from horizon_shards.conf import require_known
from horizon_shards.declarations import declaration_of
from horizon_shards.exceptions import ConfigurationError
from horizon_shards.sinks import lifetime
from horizon_shards.sinks.base import Sink

SINK_KEYS = {"BACKEND", "OPTIONS"}
DEFAULT = {"BACKEND": "horizon_shards.sinks.DatabaseSink"}

_sinks: dict[str, Sink] = {}
_lock = threading.RLock()


def sink_settings() -> dict[str, Any]:
    """``HORIZON_SINKS``, with the sink ``default`` where it names none: the database, at once."""
    given = getattr(settings, "HORIZON_SINKS", {})
    if not isinstance(given, Mapping):
        raise ConfigurationError(f"HORIZON_SINKS must be a dict of sinks by name, not {given!r}.")
    return {"default": DEFAULT, **given}


def get_sink(name: str = "default") -> Sink:
    """The sink called ``name`` in ``HORIZON_SINKS``; raises ``ConfigurationError`` for any other name."""
    with _lock:
        if name not in _sinks:
            _sinks[name] = make_sink(name, sink_settings())
        return _sinks[name]


def sink_of(model: type[Model]) -> Sink:
    """The sink of a model: the one called like its label, like the alias it lives on, or ``default``."""
    entries = sink_settings()
    declaration = declaration_of(model)
    alias = router.db_for_write(model) if declaration is None else declaration.database
    name = next((name for name in (model._meta.label, model._meta.label_lower, alias) if name in entries), "default")
    return get_sink(name)


def make_sink(name: str, entries: Mapping[str, Any]) -> Sink:
    """A new sink by its entry; raises ``ConfigurationError`` that names the entry."""
    if name not in entries:
        near = difflib.get_close_matches(name, entries, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(map(repr, entries))}."
        raise ConfigurationError(f"HORIZON_SINKS has no sink {name!r}: {hint}")
    where, entry = f"HORIZON_SINKS[{name!r}]", entries[name]
    if not isinstance(entry, Mapping) or not isinstance(entry.get("BACKEND"), str):
        raise ConfigurationError(f"{where} needs BACKEND: the path of a sink, like {DEFAULT['BACKEND']!r}.")
    require_known(entry, SINK_KEYS, where)
    try:
        backend = import_string(entry["BACKEND"])
    except ImportError as error:
        raise ConfigurationError(f"{where}['BACKEND'] cannot be imported: {error}") from error
    sink: Sink = backend(name, entry.get("OPTIONS", {}))
    return sink


def close_sinks(**kwargs: Any) -> None:
    """Close what was made and forget it; the next use reads the settings again."""
    if kwargs.get("setting", "HORIZON_SINKS") != "HORIZON_SINKS":
        return
    with _lock:
        closing = list(_sinks.values())
        _sinks.clear()
    for sink in closing:
        lifetime.forget(sink)
        sink.close()


setting_changed.connect(close_sinks, dispatch_uid="horizon_shards.sinks")
