"""A server that MySQL's driver talks to: MariaDB or MySQL, in a folder of its own, on loopback."""

from __future__ import annotations

import signal
from contextlib import closing
from pathlib import Path
from typing import Any

import MySQLdb
from MySQLdb.cursors import DictCursor

from tests.servers.processes import Process
from tests.waiting import PATIENCE_SECONDS

#: May do everything, and so passes a server's read_only.
ADMIN = {"user": "admin", "password": "admin"}


class Driven:
    """Its process, and a way to it."""

    def __init__(self, folder: Path, *, port: int) -> None:
        self.folder = folder
        self.name = folder.name
        self.port = port
        self.process = Process(folder / "pid")

    def wait(self) -> None:
        """Wait until it answers; raises with the end of its log."""
        error = MySQLdb.OperationalError
        self.process.wait_for_answer(lambda: self.sql("SELECT 1"), failing=error, log=self.folder / "log")

    def kill(self) -> None:
        """``kill -9``: what was not on disk is lost."""
        self.process.end(signal.SIGKILL)

    def freeze(self) -> None:
        """Stop it in its tracks: its connections stay open and nothing answers."""
        self.process.freeze()

    def thaw(self) -> None:
        self.process.thaw()

    def sql(self, *statements: str) -> list[dict[str, Any]]:
        """Run statements as the administrator; the rows of the last one."""
        with closing(self.connect(**ADMIN)) as connection, closing(connection.cursor(DictCursor)) as cursor:
            for statement in statements:
                cursor.execute(statement)
            return list(cursor.fetchall())

    def connect(self, **options: Any) -> Any:
        """A driver's connection of its own, in autocommit."""
        timeouts = {"connect_timeout": 5, "read_timeout": PATIENCE_SECONDS}
        return MySQLdb.connect(host="127.0.0.1", port=self.port, autocommit=True, **timeouts, **options)
