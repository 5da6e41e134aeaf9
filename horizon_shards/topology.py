"""The shard groups of the settings, and which physical database belongs to which shard."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from functools import cached_property
from typing import Any

from django.core.signals import setting_changed
from django.db import connections
from django.utils.module_loading import import_string

from horizon_shards.conf import GroupConfig, ShardConfig, group_aliases, read_group
from horizon_shards.directory import Directory
from horizon_shards.exceptions import ConfigurationError, UnknownShard
from horizon_shards.mapping.base import Mapping, MappingShard


class Group:
    """One logical database: its configuration, its shards by name, and its mapping."""

    def __init__(self, config: GroupConfig) -> None:
        self.config = config
        self.alias = config.alias
        self.shards = {shard.name: shard for shard in config.shards}
        self.shard_names = tuple(self.shards)
        self.primaries = {shard.name: shard.primary for shard in config.shards}
        #: Whether any read may go to a replica.
        self.has_replicas = config.reads.from_replicas and any(any(shard.replica_weights) for shard in config.shards)
        #: What :mod:`horizon_shards.placement` has worked out of the models of this group.
        self.placements: dict[Any, Any] = {}
        #: Plans that the planner remembers, each with what it rests on.
        self.plans: dict[Any, Any] = {}

    def __repr__(self) -> str:
        return f"<Group {self.alias!r}: {', '.join(self.shards)}>"

    @cached_property
    def directory(self) -> Directory | None:
        """The stored assignments and id blocks, or None where no ``DIRECTORY`` is configured."""
        alias = self.config.directory
        return None if alias is None else Directory(alias, database=self.alias)

    @cached_property
    def mark(self) -> str:
        """What tells the transactions of this directory from those of others that share servers with it."""
        if self.directory is None:
            raise ConfigurationError(f"DATABASES[{self.alias!r}]: transactions in two phases need a DIRECTORY.")
        return self.directory.decisions.mark()

    @cached_property
    def mapping(self) -> Mapping:
        """The rule from key to shard."""
        try:
            backend: Any = import_string(self.config.mapping_backend)
        except ImportError as error:
            raise ConfigurationError(
                f"DATABASES[{self.alias!r}]['MAPPING']['BACKEND'] cannot be imported: {error}"
            ) from error
        mapping: Mapping = backend(
            database=self.alias,
            shards=[MappingShard(s.name, s.weight, s.accepts_new_keys) for s in self.config.shards],
            directory=self.directory,
            options=self.config.mapping_options,
        )
        return mapping

    def shard(self, name: str) -> ShardConfig:
        """The shard called ``name``; raises ``UnknownShard``."""
        try:
            return self.shards[name]
        except KeyError:
            raise UnknownShard(
                f"{self.alias!r} has no shard {name!r}; it has {', '.join(map(repr, self.shards))}."
            ) from None

    def ordered(self, names: Iterable[str]) -> tuple[str, ...]:
        """``names`` in the order of the settings."""
        wanted = set(names)
        return tuple(name for name in self.shard_names if name in wanted)


class Topology:
    """All groups of one ``DATABASES``."""

    def __init__(self) -> None:
        self.groups = {alias: Group(read_group(alias)) for alias in group_aliases()}
        self.physical: dict[str, tuple[Group, ShardConfig]] = {}
        for group in self.groups.values():
            for shard in group.shards.values():
                for alias in shard.aliases:
                    self._own(alias, group, shard)

    def _own(self, alias: str, group: Group, shard: ShardConfig) -> None:
        if alias in self.physical:
            other = self.physical[alias][0].alias
            raise ConfigurationError(
                f"Database {alias!r} stores shards of both {other!r} and {group.alias!r}: give each its own."
            )
        self.physical[alias] = (group, shard)


_lock = threading.Lock()
_topology: Topology | None = None
_read_from: Any = None


def get_topology() -> Topology:
    """The topology of the running settings; read once, and again when ``DATABASES`` is another dict."""
    global _topology, _read_from
    if _topology is None or _read_from is not connections.settings:
        with _lock:
            if _topology is None or _read_from is not connections.settings:
                _topology, _read_from = Topology(), connections.settings
    return _topology


def reset_topology(**kwargs: Any) -> None:
    """Forget what was read; the next use reads the settings again."""
    global _topology
    if kwargs.get("setting", "DATABASES") == "DATABASES":
        _topology = None


setting_changed.connect(reset_topology, dispatch_uid="horizon_shards.topology")


def get_group(alias: str) -> Group:
    """The shard group of the logical alias; raises ``ConfigurationError`` for any other alias."""
    try:
        return get_topology().groups[alias]
    except KeyError:
        known = ", ".join(map(repr, get_topology().groups)) or "none"
        raise ConfigurationError(f"{alias!r} is not a logical database; these are: {known}.") from None


def group_with_shard(shard: str, *, database: str | None = None) -> Group:
    """The group that has a shard of this name, in ``database`` or in whichever one has it."""
    if database is not None:
        group = get_group(database)
        group.shard(shard)
        return group
    found = [group for group in get_topology().groups.values() if shard in group.shards]
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(repr(group.alias) for group in found)
        raise UnknownShard(f"Several logical databases have a shard {shard!r} ({names}): pass database=.")
    known = ", ".join(repr(name) for group in get_topology().groups.values() for name in group.shards)
    raise UnknownShard(f"No logical database has a shard {shard!r}; there are {known or 'none'}.")


def group_of_physical(alias: str) -> tuple[Group, ShardConfig] | None:
    """The group and shard that a physical alias stores, or None for a database that is no shard's."""
    return get_topology().physical.get(alias)


def group_of_alias(alias: str) -> Group | None:
    """The group of a logical or a physical alias, or None."""
    topology = get_topology()
    if alias in topology.groups:
        return topology.groups[alias]
    owned = topology.physical.get(alias)
    return owned[0] if owned else None
