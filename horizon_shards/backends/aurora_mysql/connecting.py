"""Connecting to a cluster: servers in turn, again after a pause, until one will do or the deadline has passed."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Final

from MySQLdb import MySQLError, OperationalError

from horizon_shards.backends.aurora_mysql.codes import UNREACHABLE, code_of
from horizon_shards.backends.aurora_mysql.credentials import Credentials
from horizon_shards.backends.aurora_mysql.cures import ACCESS_DENIED, CURES, NO_TLS
from horizon_shards.backends.aurora_mysql.options import DEFAULT_PORT, Address, ClusterOptions
from horizon_shards.backends.aurora_mysql.topology import (
    addresses,
    forget_primary,
    is_encrypted,
    learn,
    note_primary,
    takes_writes,
)

FIRST_PAUSE_SECONDS: Final = 0.05
LONGEST_PAUSE_SECONDS: Final = 1.0

#: Endpoints and roles that were looked for in vain: until a server is found again, nobody else waits for one.
_missing: set[tuple[Address, str]] = set()


class Connecting:
    """One attempt to get a connection that the role allows; ``open_one`` opens a driver's connection."""

    def __init__(
        self, alias: str, options: ClusterOptions, params: dict[str, Any], open_one: Callable[[dict[str, Any]], Any]
    ) -> None:
        self.alias = alias
        self.options = options
        self.params = params
        self.open_one = open_one
        self.endpoint = Address(str(params.get("host", "localhost")), int(params.get("port", DEFAULT_PORT)))
        self.credentials = Credentials(options)
        self.give_up_at = time.monotonic() + options.deadline_seconds
        self.failures: dict[Address, Exception] = {}

    def connection(self) -> Any:
        """A driver's connection with its ``address``; raises the driver's error with alias, servers and cure."""
        cluster = self.endpoint, self.options.role
        for pause in pauses():
            for address in self._candidates():
                raw = self._try(address)
                if raw is not None:
                    _missing.discard(cluster)
                    return raw
                if time.monotonic() > self.give_up_at:
                    break
            if cluster in _missing or time.monotonic() + pause > self.give_up_at:
                _missing.add(cluster)
                raise self._none_found()
            time.sleep(pause)
        raise AssertionError("pauses() does not end")

    def revive(self, raw: Any) -> bool:
        """Make a connection that waited in the pool as new: whether it lives and the server still has the role.

        Its session forgets variables, locks, temporary tables and transactions, and keeps its number.
        """
        try:
            params = self.credentials.added_to({**self.params, "host": raw.address.host, "port": raw.address.port})
            raw.change_user(params.get("user", ""), params.get("password", ""), params.get("database", ""))
            if params.get("collation"):
                raw.set_character_set(params["charset"], params["collation"])
            if params.get("sql_mode"):
                raw.set_sql_mode(params["sql_mode"])
            if params.get("init_command"):
                raw.query(params["init_command"])
                raw.store_result()
            return self._will_do(raw)
        except MySQLError:
            _close(raw)
            return False

    def _candidates(self) -> list[Address]:
        if "unix_socket" in self.params:
            return [self.endpoint]
        found = addresses(self.endpoint, self.options)
        if self.options.role == "replica":
            random.shuffle(found)
        return found

    def _try(self, address: Address) -> Any:
        """A connection that will do, or None where another attempt may give one."""
        try:
            raw = self.open(address)
            return raw if self._will_do(raw) else None
        except MySQLError as error:
            if code_of(error) not in UNREACHABLE:
                raise self._explained(address, error) from error
            self._failed(address, error)
            return None

    def open(self, address: Address) -> Any:
        """A connection to this very server, whatever its role."""
        left = max(1, math.ceil(self.give_up_at - time.monotonic()))
        params = {**self.params, "connect_timeout": min(self.params.get("connect_timeout", left), left)}
        if "unix_socket" not in params:
            params |= {"host": address.host, "port": address.port}
        try:
            raw = self.open_one(self.credentials.added_to(params))
        except OperationalError as error:
            if code_of(error) != ACCESS_DENIED or not self.credentials.refresh():
                raise
            raw = self.open_one(self.credentials.added_to(params))
        # Kept beside it: the driver forgets both when the connection is lost.
        raw.address, raw.known_id = address, raw.thread_id()
        return raw

    def _will_do(self, raw: Any) -> bool:
        try:
            self._require_tls(raw)
            if self.options.role != "primary":
                learn(self.endpoint, self.options, raw)
                return True
            writes = takes_writes(raw)
            learn(self.endpoint, self.options, raw, again=not writes)
            if writes:
                note_primary(self.endpoint, raw.address)
                return True
        except MySQLError:
            _close(raw)
            raise
        _close(raw)
        self._failed(raw.address, OperationalError(1290, "the server takes no writes (read_only)"))
        return False

    def _require_tls(self, raw: Any) -> None:
        wanted = self.params.get("ssl_mode", "DISABLED") not in ("DISABLED", "PREFERRED") or self.params.get("ssl")
        if wanted and not is_encrypted(raw):
            raise OperationalError(NO_TLS, "the connection is not encrypted")

    def _failed(self, address: Address, error: Exception) -> None:
        self.failures[address] = error
        forget_primary(self.endpoint, address)

    def _none_found(self) -> OperationalError:
        """The last error, with every server that was tried."""
        tried = "; ".join(f"{address}: {error.args[-1]}" for address, error in self.failures.items())
        waited = time.monotonic() - self.give_up_at + self.options.deadline_seconds
        code = code_of(list(self.failures.values())[-1]) or 2002
        return OperationalError(
            code,
            f"database {self.alias!r}: no {self.options.role} found in {waited:.1f} s ({tried}). "
            "Check HOST, PORT and CLUSTER['INSTANCES'] and whether the cluster is up; CLUSTER['DEADLINE_SECONDS'] says "
            "how long to look for one.",
        )

    def _explained(self, address: Address, error: MySQLError) -> MySQLError:
        """The error, with the alias, the server and what to do about it."""
        code, message = code_of(error), error.args[-1] if error.args else ""
        cure = f": {CURES[code]}" if code in CURES else ""
        return type(error)(code, f"database {self.alias!r} at {address}: {message}{cure}.")


def pauses() -> Iterator[float]:
    """Growing pauses, each of a random part of its length: clients of one failover must not come in step."""
    pause = FIRST_PAUSE_SECONDS
    while True:
        yield random.uniform(pause / 2, pause)  # noqa: S311
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)


def _close(raw: Any) -> None:
    with suppress(MySQLError):
        raw.close()


def forget_missing() -> None:
    """Wait for every cluster again."""
    _missing.clear()
