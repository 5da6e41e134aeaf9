"""One MariaDB server in a folder of its own, on loopback."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from pathlib import Path

from tests.servers.driven import ADMIN, Driven

#: What applications connect with: stopped by read_only.
APP = {"user": "app", "password": "app"}
REPLICATION = {"user": "replication", "password": "replication"}
DATABASE = "app"
TIME_ZONES = ("UTC", "America/New_York", "Europe/Paris", "Asia/Kathmandu")

CONFIGURATION = """[mariadbd]
datadir={folder}/data
tmpdir={folder}/tmp
socket=server.sock
port={port}
bind-address=127.0.0.1
user={user}
server-id={number}
gtid-domain-id={domain}
skip-name-resolve
log-bin=binlog
log-slave-updates
binlog-format=ROW
gtid-strict-mode
read-only=1
slave-net-timeout=5
slave-parallel-threads=4
rpl-semi-sync-slave-enabled
rpl-semi-sync-master-wait-point=AFTER_SYNC
rpl-semi-sync-master-timeout=3600000
character-set-server=utf8mb4
collation-server=utf8mb4_general_ci
max-connections=60
performance-schema=OFF
key-buffer-size=1M
aria-pagecache-buffer-size=1M
innodb-buffer-pool-size=48M
innodb-log-file-size=16M
innodb-flush-log-at-trx-commit=1
sync-binlog=1
innodb-lock-wait-timeout=10
"""

#: A statement a line: so the bootstrap reads it.
FIRST_STATEMENTS = f"""DELETE FROM mysql.global_priv WHERE User IN ('', 'root');
FLUSH PRIVILEGES;
CREATE USER admin@'127.0.0.1' IDENTIFIED BY '{ADMIN["password"]}';
GRANT ALL ON *.* TO admin@'127.0.0.1' WITH GRANT OPTION;
CREATE USER replication@'127.0.0.1' IDENTIFIED BY '{REPLICATION["password"]}';
GRANT REPLICATION SLAVE, REPLICATION MASTER ADMIN, SLAVE MONITOR, BINLOG MONITOR ON *.* TO replication@'127.0.0.1';
CREATE USER app@'127.0.0.1' IDENTIFIED BY '{APP["password"]}';
GRANT ALL ON `app%`.* TO app@'127.0.0.1';
GRANT SLAVE MONITOR ON *.* TO app@'127.0.0.1';
GRANT ALL ON `test\\_%`.* TO app@'127.0.0.1';
GRANT ALL ON `horizon\\_%`.* TO app@'127.0.0.1';
CREATE DATABASE {DATABASE} CHARACTER SET utf8mb4;
"""


class Server(Driven):
    """A server of a cluster; ``number`` is its server id."""

    def __init__(self, folder: Path, *, port: int, number: int, domain: int) -> None:
        super().__init__(folder, port=port)
        self.number = number
        self.domain = domain

    def create(self, template: Path) -> None:
        """Give it a data directory, once."""
        if not (self.folder / "data").exists():
            self.folder.mkdir(exist_ok=True)
            shutil.copytree(template, self.folder / "data", symlinks=True)
        # Of its own: a server that starts deletes the temporary tables of every other one that shares the folder.
        (self.folder / "tmp").mkdir(exist_ok=True)
        configuration = CONFIGURATION.format(
            folder=self.folder, port=self.port, number=self.number, domain=self.domain, user=user()
        )
        (self.folder / "my.cnf").write_text(configuration)

    def start(self, *arguments: str) -> None:
        """Start it, read-only as every server begins; :meth:`wait` says when it answers."""
        command = [program("mariadbd"), f"--defaults-file={self.folder / 'my.cnf'}", *arguments]
        self.process.start(command, log=self.folder / "log")

    def is_read_only(self) -> bool:
        return bool(self.sql("SELECT @@global.read_only AS answer")[0]["answer"])

    def described(self) -> str:
        """Its pid and position, or that it is down."""
        pid = self.process.pid()
        if pid is None:
            return "down"
        row = self.sql("SELECT @@global.read_only AS read_only, @@gtid_current_pos AS position")[0]
        return f"pid {pid}  read_only={row['read_only']}  {row['position']}"


def make_template(folder: Path) -> Path:
    """An initial data directory, copied for each server: initialising one takes longer than copying it."""
    template = folder / "template"
    if not template.exists():
        statements = folder / "first.sql"
        statements.write_text(FIRST_STATEMENTS)
        unfinished = folder / "unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        made = subprocess.run(
            [
                program("mariadb-install-db"),
                "--no-defaults",
                f"--datadir={unfinished}",
                f"--tmpdir={folder}",
                f"--user={user()}",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
                "--skip-name-resolve",
                "--innodb-log-file-size=16M",
                f"--extra-file={statements}",
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode:
            raise RuntimeError(f"mariadb-install-db: {made.stdout[-2_000:]}{made.stderr[-2_000:]}")
        unfinished.rename(template)
    return template


def load_time_zones(server: Server) -> None:
    """``Trunc*`` with a time zone needs the tables."""
    zones = [
        subprocess.run(
            [program("mariadb-tzinfo-to-sql"), f"/usr/share/zoneinfo/{name}", name],
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for name in TIME_ZONES
    ]
    options = ["--no-defaults", "--host=127.0.0.1", f"--port={server.port}", "--user=admin"]
    subprocess.run(
        [program("mariadb"), *options, f"--password={ADMIN['password']}", "mysql"],
        input="".join(zones),
        text=True,
        check=True,
        capture_output=True,
    )


def program(name: str) -> str:
    """The path of a program of MariaDB's, which need not be on a user's PATH."""
    found = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"]))
    if found is None:
        raise RuntimeError(
            f"{name} is missing: apt-get install mariadb-server-core mariadb-client (no service comes with it)."
        )
    return found


def user() -> str:
    return pwd.getpwuid(os.getuid()).pw_name
