"""The plan of a query: which shards, how to merge, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

Operation = Literal["select", "insert", "update", "delete"]
Mode = Literal["single", "scatter", "all", "none", "federate"]

#: Modes: one shard answers; several are asked and merged; every shard is written to (reference models);
#: no row can match, so any shard may say so; rows of all tables concerned are gathered first.
MODES: tuple[Mode, ...] = ("single", "scatter", "all", "none", "federate")


NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Merge:
    """How the answers of several shards become one: ``steps`` says it in words, for ``explain()``."""

    steps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL that a plan sends: ``where`` are shards, one database by its alias, or the private database."""

    where: tuple[str, ...]
    sql: str
    params: tuple[Any, ...] = ()

    def __str__(self) -> str:
        return f"on {', '.join(self.where)}: {self.sql}"


@dataclass(frozen=True, slots=True)
class Plan:
    """Where a query goes. ``shards`` are names, in the order of the settings.

    ``owned`` may hold a condition per shard ("rows that this shard owns") and ``fences`` a check per write;
    both are empty while no rows move.
    """

    database: str
    model: str
    operation: Operation
    mode: Mode
    shards: tuple[str, ...]
    why: str
    merge: Merge = Merge()
    owned: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    fences: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    #: What :func:`horizon_shards.plan` adds: the SQL, in the order in which it runs.
    statements: tuple[Statement, ...] = ()

    def __str__(self) -> str:
        where = ", ".join(self.shards) or "no shard"
        text = f"{self.mode} {self.operation} on {self.database}: {where}\n  because {self.why}"
        text += "".join(f"\n  merge: {step}" for step in self.merge.steps)
        return text + "".join(f"\n  {statement}" for statement in self.statements)
