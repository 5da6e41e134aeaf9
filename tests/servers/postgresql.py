"""One PostgreSQL server in a folder of its own, on loopback; it can prepare transactions."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg

from tests.servers.processes import Process, free_ports
from tests.waiting import wait_until

USER = "app"
#: Where Debian keeps the programs, which are not on a user's PATH.
FOLDERS = sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")), reverse=True)
#: PostgreSQL refuses to run as root.
UNPRIVILEGED = "nobody"

CONFIGURATION = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 60
max_prepared_transactions = {prepared}
shared_buffers = 16MB
fsync = on
"""


class PostgreSQL:
    """A server; ``prepared``: how many transactions can be prepared at once."""

    def __init__(self, folder: Path, *, prepared: int = 50) -> None:
        self.folder = folder
        self.name = folder.name
        (self.port,) = free_ports(1)
        self.process = Process(folder.with_suffix(".pid"))
        self._prepared = prepared

    def make(self) -> None:
        """Make its folder, with a database and a configuration."""
        self.folder.mkdir(mode=0o700)
        if os.getuid() == 0:
            shutil.chown(self.folder, UNPRIVILEGED)
        options = ["-D", str(self.folder), "-U", USER, "--auth=trust", "--no-sync", "-E", "UTF8"]
        made = subprocess.run(
            [*as_user(), program("initdb"), *options], capture_output=True, text=True, check=False, cwd="/"
        )
        if made.returncode:
            raise RuntimeError(f"initdb: {made.stderr[-2_000:]}")
        with (self.folder / "postgresql.conf").open("a") as file:
            file.write(CONFIGURATION.format(prepared=self._prepared))

    def start(self) -> None:
        """Start it and wait until it answers; the first time it is made."""
        if not self.folder.exists():
            self.make()
        command = [*as_user(), program("postgres"), "-D", str(self.folder), "-p", str(self.port)]
        log = self.folder.with_suffix(".log")
        self.process.start(command, log=log)
        self.process.wait_for_answer(lambda: self.sql("SELECT 1"), failing=psycopg.OperationalError, log=log)

    def kill(self) -> None:
        """``kill -9``, and wait until its children have noticed and ended: before, no server starts on its folder."""
        self.process.end(signal.SIGKILL)
        wait_until(lambda: not working_in(self.folder), f"the children of {self.name} have ended")

    def sql(self, statement: str, database: str = "postgres") -> list[Any]:
        """Run a statement as the owner of the server; its rows."""
        with psycopg.connect(
            host="127.0.0.1", port=self.port, user=USER, dbname=database, autocommit=True, connect_timeout=5
        ) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []


@contextmanager
def server(folder: Path, *, prepared: int = 50) -> Iterator[PostgreSQL]:
    """A new server for the block."""
    server = PostgreSQL(folder, prepared=prepared)
    try:
        server.start()
        yield server
    finally:
        server.kill()


def program(name: str) -> str:
    """The path of a program of PostgreSQL's."""
    found = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), *FOLDERS]))
    if found is None:
        raise RuntimeError(f"{name} is missing: apt-get install postgresql (its service is not needed).")
    return found


def working_in(folder: Path) -> list[int]:
    """The processes whose current folder it is: a server's, and those of its children."""
    found = []
    for current in Path("/proc").glob("[0-9]*/cwd"):
        with suppress(OSError):  # it has ended meanwhile, or is somebody else's
            if current.readlink() == folder.resolve():
                found.append(int(current.parent.name))
    return found


def as_user() -> list[str]:
    """What a command begins with so that it does not run as root."""
    if os.getuid() != 0:
        return []
    entry = pwd.getpwnam(UNPRIVILEGED)
    setpriv = shutil.which("setpriv")
    assert setpriv is not None
    return [setpriv, f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups"]
