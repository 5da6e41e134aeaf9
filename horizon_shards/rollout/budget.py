"""How many connections the whole project may open at the worst, as its settings have it: ``HORIZON_CONNECTIONS``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.conf import settings
from django.db import connections

from horizon_shards.conf import is_sharded, require_known
from horizon_shards.exceptions import ConfigurationError

KEYS: Final = {"PROCESSES", "THREADS", "SERVER_LIMIT"}
WHERE: Final = "HORIZON_CONNECTIONS"
#: psycopg_pool's own; a pool without ``max_size`` keeps to it.
POOL_MIN_SIZE: Final = 4
WITHOUT_SERVERS: Final = ("sqlite3", "dummy")


@dataclass(frozen=True, slots=True)
class Budget:
    """``HORIZON_CONNECTIONS``: processes on all hosts, threads in each, connections that a server takes."""

    processes: int
    threads: int = 1
    #: The same for all, or by alias; an alias that is not named is not limited.
    server_limit: int | Mapping[str, int] | None = None

    def most_of(self, alias: str) -> int:
        """The most connections of all processes to one physical database."""
        return self.processes * _most_of_process(connections.settings[alias], self.threads)

    def limit_of(self, aliases: tuple[str, ...]) -> int | None:
        """What the server behind the aliases takes, as far as that was told."""
        if isinstance(self.server_limit, Mapping):
            return min((self.server_limit[alias] for alias in aliases if alias in self.server_limit), default=None)
        return self.server_limit


@dataclass(frozen=True, slots=True)
class ServerBudget:
    """One server, by host and port, the aliases that lead there, and the most connections to all of them."""

    address: str
    aliases: tuple[str, ...]
    most: int
    limit: int | None


def read_budget() -> Budget | None:
    """The setting, or None where there is none; raises ``ConfigurationError``."""
    given = getattr(settings, WHERE, None)
    if given is None:
        return None
    if not isinstance(given, Mapping):
        raise ConfigurationError(f"{WHERE} must be a dict with PROCESSES and THREADS, not {given!r}.")
    require_known(given, KEYS, WHERE)
    if "PROCESSES" not in given:
        raise ConfigurationError(f"{WHERE} needs PROCESSES: how many run on all hosts together.")
    limit = given.get("SERVER_LIMIT")
    numbers = limit if isinstance(limit, Mapping) else {} if limit is None else {"SERVER_LIMIT": limit}
    for key, number in {**numbers, "PROCESSES": given["PROCESSES"], "THREADS": given.get("THREADS", 1)}.items():
        _require_count(key, number)
    return Budget(given["PROCESSES"], given.get("THREADS", 1), limit)


def servers_of(budget: Budget) -> list[ServerBudget]:
    """Every server that ``DATABASES`` names, with all aliases that lead there, sharded or not."""
    found: dict[str, list[str]] = {}
    for alias, address in _addresses():
        found.setdefault(address, []).append(alias)
    return [_server(budget, address, tuple(aliases)) for address, aliases in found.items()]


def _server(budget: Budget, address: str, aliases: tuple[str, ...]) -> ServerBudget:
    return ServerBudget(address, aliases, sum(map(budget.most_of, aliases)), budget.limit_of(aliases))


def _addresses() -> Iterator[tuple[str, str]]:
    for alias, entry in connections.settings.items():
        engine = str(entry["ENGINE"])
        if not is_sharded(entry) and not engine.endswith(WITHOUT_SERVERS):
            port = entry.get("PORT") or engine.rpartition(".")[2]
            yield alias, f"{entry.get('HOST') or 'localhost'}:{port}"


def _most_of_process(entry: Mapping[str, Any], threads: int) -> int:
    """A connection for each thread, unless a setting of the engine's says that there are fewer, or more."""
    cluster = entry.get("CLUSTER") or {}
    pool = (entry.get("OPTIONS") or {}).get("pool")
    if pool:
        sizes = pool if isinstance(pool, Mapping) else {}
        least = int(sizes.get("min_size", POOL_MIN_SIZE))
        return max(least, min(threads, int(sizes.get("max_size") or least)))
    return min(threads, cluster.get("MAX_CONNECTIONS") or threads)


def _require_count(key: str, number: Any) -> None:
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise ConfigurationError(f"{WHERE}: {key} must be a whole number of at least 1, not {number!r}.")
