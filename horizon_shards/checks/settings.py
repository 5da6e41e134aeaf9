"""Checks of the logical databases in ``DATABASES`` and of ``DATABASE_ROUTERS``."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage
from django.db import connections, router

from horizon_shards import conf
from horizon_shards.checks.catalogue import problem
from horizon_shards.checks.engines import vendor_of
from horizon_shards.checks.servers import check_cluster_ids, check_timeouts
from horizon_shards.checks.two_phase import check_engines
from horizon_shards.exceptions import ConfigurationError

ROUTER = "horizon_shards.routers.ShardRouter"


def check_settings(**kwargs: Any) -> list[CheckMessage]:
    """Everything that the settings alone can tell to be wrong."""
    aliases = conf.group_aliases()
    found = [*_twice(aliases)]
    for alias in aliases:
        found += check_group(alias)
    return [*found, *check_cluster_ids(), *_router(aliases)]


def check_group(alias: str) -> list[CheckMessage]:
    """The problems of one logical database; the value checks only run where the names are right."""
    entry = connections.settings[alias]
    found = [*_unknown_settings(alias, entry), *_unknown_aliases(alias, entry)]
    if found:
        return found
    try:
        config = conf.read_group(alias)
    except ConfigurationError as error:
        return [] if _is_twice(alias) else [_bad_value(alias, error)]
    found = [*_engines(config), *check_engines(config), *_shared_directory(config)]
    return [*found, *check_timeouts(config)]


def physical_aliases(entry: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Each ``(shard name, alias)`` of the SHARDS of an entry of ``DATABASES``, whatever its state."""
    for name, shard in _items(entry.get("SHARDS")):
        for alias in (shard.get("PRIMARY"), *_strings(shard.get("REPLICAS"))):
            if isinstance(alias, str):
                yield name, alias


def _bad_value(alias: str, error: Exception) -> CheckMessage:
    return problem("E104", str(error), hint=f"Correct DATABASES[{alias!r}]; docs/reference.md lists the values.")


def _unknown_settings(alias: str, entry: Mapping[str, Any]) -> Iterator[CheckMessage]:
    for where, given, known in _levels(alias, entry):
        for key in given:
            if key not in known:
                yield problem("E101", f"{where} has the unknown key {key!r}.", hint=_nearest(str(key).upper(), known))


def _levels(alias: str, entry: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any], set[str]]]:
    where = f"DATABASES[{alias!r}]"
    yield where, entry, conf.OWN_KEYS | conf.DJANGO_KEYS
    if isinstance(entry.get("MAPPING"), Mapping):
        yield f"{where}['MAPPING']", entry["MAPPING"], conf.MAPPING_KEYS
    for name, known in (("READS", conf.READS_KEYS), ("MIGRATE", conf.MIGRATE_KEYS)):
        if isinstance(entry.get(name), Mapping):
            yield f"{where}[{name!r}]", entry[name], known
    for name, shard in _items(entry.get("SHARDS")):
        yield f"{where}['SHARDS'][{name!r}]", shard, conf.SHARD_KEYS


def _unknown_aliases(alias: str, entry: Mapping[str, Any]) -> Iterator[CheckMessage]:
    where = f"DATABASES[{alias!r}]"
    named = [(f"{where}['SHARDS'][{shard!r}]", physical) for shard, physical in physical_aliases(entry)]
    if isinstance(entry.get("DIRECTORY"), str):
        named.append((f"{where}['DIRECTORY']", entry["DIRECTORY"]))
    for place, physical in named:
        if physical not in connections.settings:
            yield problem(
                "E102",
                f"{place} names the database {physical!r}, which is not in DATABASES.",
                hint=_nearest(physical, set(connections.settings), otherwise="Add it to DATABASES."),
            )
        elif conf.is_sharded(connections.settings[physical]):
            yield problem(
                "E102",
                f"{place} names {physical!r}, which is a logical database.",
                hint="Name a database that stores rows itself.",
            )


def _twice(aliases: Iterable[str]) -> Iterator[CheckMessage]:
    used: dict[str, str] = {}
    for alias in aliases:
        for shard, physical in physical_aliases(connections.settings[alias]):
            place = f"shard {shard!r} of {alias!r}"
            if physical in used:
                yield problem(
                    "E103",
                    f"Database {physical!r} stores {used[physical]} and {place}.",
                    hint="Give each shard, and each replica, a database of its own.",
                )
            used.setdefault(physical, place)


def _is_twice(alias: str) -> bool:
    return any(True for _ in _twice([alias]))


def _engines(config: conf.GroupConfig) -> Iterator[CheckMessage]:
    vendors: dict[str, str] = {}
    for shard in config.shards:
        for alias in shard.aliases:
            vendors.setdefault(vendor_of(alias), alias)
    if len(vendors) > 1:
        listed = ", ".join(f"{alias!r} is {vendor}" for vendor, alias in vendors.items())
        yield problem(
            "E105",
            f"The shards of {config.alias!r} have different engines: {listed}.",
            hint="Queries are compiled once for all shards: use one engine in a group, and another group for the rest.",
        )


def _shared_directory(config: conf.GroupConfig) -> Iterator[CheckMessage]:
    alias = config.directory
    if alias is None or vendor_of(alias) != "sqlite":
        return
    names = {other: connections.settings[other].get("NAME") for other in (alias, "default")}
    if alias == "default" or names[alias] == names["default"]:
        yield problem(
            "W108",
            f"The directory of {config.alias!r} is in the SQLite database of 'default'.",
            hint="SQLite has one writer: a new key waits for every transaction of 'default', and one begun there "
            "blocks it. Give the directory a SQLite file of its own, or use a server.",
        )


def _router(aliases: list[str]) -> Iterator[CheckMessage]:
    from horizon_shards.routers import ShardRouter

    try:
        if not aliases or any(isinstance(found, ShardRouter) for found in router.routers):
            return
    except ImportError as error:
        yield problem("E109", f"DATABASE_ROUTERS cannot be imported: {error}", hint=f'Name "{ROUTER}" there.')
        return
    yield problem(
        "E109",
        f"DATABASE_ROUTERS is {settings.DATABASE_ROUTERS!r}: sharded models would be looked for in 'default'.",
        hint=f'Set DATABASE_ROUTERS = ["{ROUTER}"], before other routers.',
    )


def _nearest(name: str, known: Iterable[str], *, otherwise: str = "") -> str:
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"Did you mean {near[0]!r}?" if near else otherwise or f"Known are {', '.join(known)}."


def _items(value: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if isinstance(value, Mapping):
        yield from ((name, shard) for name, shard in value.items() if isinstance(shard, Mapping))


def _strings(value: Any) -> Iterable[str]:
    return value if isinstance(value, list | tuple | Mapping) else ()
