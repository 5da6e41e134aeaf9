"""The part of a connection that is sparing of the server's: a bound for the process, an idle time-out, a pool."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

from django.db.backends.mysql import base
from django.utils.functional import cached_property

from horizon_shards.backends.aurora_mysql.connecting import Connecting
from horizon_shards.backends.aurora_mysql.options import ClusterOptions, read_options
from horizon_shards.backends.aurora_mysql.room import Room, room_of


class SparingConnection(base.DatabaseWrapper):
    """Django's MySQL connection with what ``CLUSTER`` says of ``MAX_CONNECTIONS``, ``IDLE_SECONDS`` and ``POOL``."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._is_patient = False
        self._used_at = 0.0

    @cached_property
    def cluster(self) -> ClusterOptions:
        """The setting ``CLUSTER``."""
        return read_options(self.alias, self.settings_dict)

    @property
    def room(self) -> Room:
        """The connections that this process has to the alias; not kept, as a fork begins with another one."""
        return room_of(self.alias)

    def connecting(self, params: dict[str, Any]) -> Connecting:
        """An attempt to connect."""
        return Connecting(self.alias, self.cluster, params, super().get_new_connection)

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """A connection that waited in the pool, or a new one to a server of the cluster that has the role."""
        cluster, connecting, room = self.cluster, self.connecting(conn_params), self.room
        until = {"give_up_at": connecting.give_up_at, "seconds": cluster.deadline_seconds}
        while (raw := room.enter(cluster.max_connections, **until)) is not None:
            if connecting.revive(raw):
                self.note_use()
                return raw
            room.left(raw)
        try:
            raw = connecting.connection()
        except BaseException:
            room.failed()
            raise
        room.opened(raw)
        self.note_use()
        return raw

    def note_use(self) -> None:
        """A cursor was asked for."""
        self._used_at = time.monotonic()

    def close_if_health_check_failed(self) -> None:
        """Before each use: close what was not used for too long."""
        if self._is_unused():
            self.close()
        super().close_if_health_check_failed()

    def close_if_unusable_or_obsolete(self) -> None:
        """When a request begins and ends: give the connection to the pool, or close it, where it is not needed."""
        if self._may_wait():
            self.validate_thread_sharing()
            raw, self.connection = self.connection, None
            self.room.put_back(raw, idle_seconds=self.cluster.idle_seconds or 0.0)
        elif self._is_unused():
            self.close()
        else:
            super().close_if_unusable_or_obsolete()

    def _may_wait(self) -> bool:
        """Whether another thread may have the connection next. What :meth:`close` closes is closed."""
        is_free = self.connection is not None and not (self.errors_occurred or self._is_patient or self.in_atomic_block)
        return is_free and self.cluster.pool and self.autocommit == self.settings_dict["AUTOCOMMIT"]

    def _is_unused(self) -> bool:
        """Whether the idle time-out has passed, outside of a transaction (``atomic()`` turns autocommit off)."""
        seconds = self.cluster.idle_seconds
        if seconds is None or self.connection is None or self._is_patient or not self.autocommit:
            return False
        return time.monotonic() - self._used_at > seconds

    def _hang_up(self) -> None:
        """Close the driver's connection; one that is lost raises at that too."""
        if self.connection is not None:
            with suppress(self.Database.Error):
                self.connection.close()
            self.room.left(self.connection)
