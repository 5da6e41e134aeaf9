"""One MySQL server in a folder of its own, on loopback; Debian's releases have MariaDB, its unstable one has both."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.driven import ADMIN, Driven
from tests.servers.mariadb import APP, TIME_ZONES, user
from tests.servers.processes import free_ports
from tests.servers.unpacking import run, unpack

PACKAGES = ["mysql-server-core", "mysql-client-core"]
#: Where the programs are kept between runs.
PROGRAMS_VARIABLE = "SHARDS_MYSQL_PROGRAMS"
DEFAULT_PROGRAMS = Path(tempfile.gettempdir()) / f"horizon_shards_mysql_{os.getuid()}"

CONFIGURATION = """[mysqld]
basedir={programs}/usr
datadir={folder}/data
tmpdir={folder}/tmp
socket={folder}/socket
pid-file={folder}/server.pid
port={port}
bind-address=127.0.0.1
user={user}
mysqlx=OFF
secure-file-priv=NULL
skip-name-resolve
skip-log-bin
max-connections=200
innodb-buffer-pool-size=128M
innodb-flush-log-at-trx-commit={flushed}
innodb-doublewrite=OFF
innodb-lock-wait-timeout=10
"""

FIRST_STATEMENTS = f"""CREATE USER admin@'127.0.0.1' IDENTIFIED BY '{ADMIN["password"]}';
GRANT ALL ON *.* TO admin@'127.0.0.1' WITH GRANT OPTION;
CREATE USER app@'127.0.0.1' IDENTIFIED BY '{APP["password"]}';
GRANT ALL ON `app%`.* TO app@'127.0.0.1';
GRANT XA_RECOVER_ADMIN ON *.* TO app@'127.0.0.1';
"""


class MySQL(Driven):
    """A server without replicas, whose programs were unpacked by :func:`fetch`.

    ``durable``: what is committed survives ``kill -9``; it takes longer.
    """

    def __init__(self, folder: Path, *, programs: Path, durable: bool = False) -> None:
        (port,) = free_ports(1)
        super().__init__(folder, port=port)
        self.programs = programs
        self.durable = durable

    def create(self) -> None:
        """Give it a data directory and an administrator."""
        (self.folder / "tmp").mkdir(parents=True)
        configuration = CONFIGURATION.format(
            programs=self.programs, folder=self.folder, port=self.port, user=user(), flushed=int(self.durable)
        )
        (self.folder / "my.cnf").write_text(configuration)
        (self.folder / "first.sql").write_text(FIRST_STATEMENTS)
        run(*self._mysqld(), "--initialize-insecure", f"--init-file={self.folder / 'first.sql'}")

    def start(self) -> None:
        """Start it, and wait until it answers."""
        if self.process.pid() is None:
            # What kill -9 leaves behind names a pid that may be anybody's by now.
            (self.folder / "socket.lock").unlink(missing_ok=True)
        self.process.start(self._mysqld(), log=self.folder / "log")
        self.wait()

    def load_time_zones(self) -> None:
        """``Trunc*`` with a time zone needs the tables."""
        statements = [
            run(*self._program("mysql_tzinfo_to_sql"), f"/usr/share/zoneinfo/{name}", name) for name in TIME_ZONES
        ]
        login = ["--no-defaults", "--host=127.0.0.1", f"--port={self.port}", f"--user={ADMIN['user']}"]
        subprocess.run(
            [*self._program("mysql"), *login, f"--password={ADMIN['password']}", "mysql"],
            input="".join(statements),
            text=True,
            check=True,
            capture_output=True,
        )

    def _mysqld(self) -> list[str]:
        return [*self._program("mysqld"), f"--defaults-file={self.folder / 'my.cnf'}"]

    def _program(self, name: str) -> list[str]:
        """The command that runs an unpacked program: on the C library that came with it, not on that of the machine."""
        (loader,) = self.programs.glob("usr/lib/*-linux-gnu*/ld-linux*.so.*")
        (path,) = (found for place in ("sbin", "bin") for found in self.programs.glob(f"usr/{place}/{name}"))
        return [str(loader), "--library-path", str(loader.parent), str(path)]


def programs() -> Path:
    """The folder of the programs, which is there once they are fetched."""
    return Path(os.environ.get(PROGRAMS_VARIABLE) or DEFAULT_PROGRAMS)


def fetch() -> Path:
    """The programs' folder; fetched and unpacked where they are not there yet."""
    unpack(PACKAGES, programs(), release="sid")
    return programs()


@contextmanager
def server(folder: Path, *, durable: bool = False) -> Iterator[MySQL]:
    """A new server for the block."""
    server = MySQL(folder, programs=fetch(), durable=durable)
    server.create()
    try:
        server.start()
        server.load_time_zones()
        yield server
    finally:
        server.process.end(signal.SIGKILL)


def environment(server: MySQL) -> dict[str, str]:
    """What sends the tests to it."""
    login = {"SHARDS_USER": ADMIN["user"], "SHARDS_PASSWORD": ADMIN["password"]}
    return {"SHARDS_ENGINE": "mysql", "SHARDS_HOST": "127.0.0.1", "SHARDS_PORT": str(server.port), **login}
