"""Clusters of MariaDB: a primary and its replicas by GTID, as far as they can stand for Aurora."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.servers.mariadb import REPLICATION, Server, load_time_zones, make_template
from tests.servers.processes import free_ports
from tests.waiting import wait_until

#: Where tests find the clusters that they may use.
FOLDER_VARIABLE = "SHARDS_CLUSTERS"
STATE = "clusters.json"
LETTERS = "abcdefgh"


class Cluster:
    """One primary and its replicas; semi-synchronous, so that an acknowledged write is on a replica as well."""

    def __init__(self, name: str, servers: list[Server], primary: str) -> None:
        self.name = name
        self.servers = servers
        self.primary = next(server for server in servers if server.name == primary)

    @property
    def replicas(self) -> list[Server]:
        return [server for server in self.servers if server is not self.primary]

    def link(self) -> None:
        """Open the primary for writes and let the replicas follow it."""
        self.primary.sql("SET GLOBAL read_only = 0")
        for replica in self.replicas:
            self.follow(replica)
        self.wait_for_each_write_to_be_received(bool(self.replicas))

    def follow(self, replica: Server) -> None:
        """Make a server a replica of the primary."""
        source = f"MASTER_HOST='127.0.0.1', MASTER_PORT={self.primary.port}"
        login = f"MASTER_USER='{REPLICATION['user']}', MASTER_PASSWORD='{REPLICATION['password']}'"
        replica.sql(
            "SET GLOBAL read_only = 1",
            "SET GLOBAL rpl_semi_sync_master_enabled = 0",
            "STOP SLAVE",
            "SET GLOBAL gtid_slave_pos = @@gtid_current_pos",
            f"CHANGE MASTER TO {source}, {login}, MASTER_USE_GTID=slave_pos, MASTER_CONNECT_RETRY=1",
            "START SLAVE",
        )
        wait_until(lambda: start_again(replica), f"{replica.name} follows {self.primary.name}")

    def promote(self) -> Server:
        """Make the first replica that lives the primary, after all it has received is applied; the new primary.

        What the old one does is not asked: it may be dead, or answer still.
        """
        new = next(server for server in self.replicas if server.process.pid() is not None)
        new.sql("STOP SLAVE IO_THREAD")
        wait_until(lambda: has_applied_all(new), f"{new.name} has applied what it received")
        new.sql("STOP SLAVE", "RESET SLAVE ALL")
        self.primary = new
        self.wait_for_each_write_to_be_received(False)
        new.sql("SET GLOBAL read_only = 0")
        return new

    def demote(self) -> None:
        """Make the primary read-only under its clients, as the first step of an orderly failover."""
        self.primary.sql("SET GLOBAL read_only = 1")
        self.settle()

    def rejoin(self, server: Server) -> None:
        """Start what was the primary again, as a replica of the new one.

        What it had written without an acknowledgement is taken out of its log as it starts.
        """
        with self.unacknowledged():
            server.kill()
            server.start("--init-rpl-role=SLAVE")
            server.wait()
            self.follow(server)

    def rebuild(self, server: Server) -> None:
        """Make what was the primary a replica of the new one from a copy of its data; nobody may use the cluster.

        Where transactions were prepared, :meth:`rejoin` is not enough: what the old primary had logged of them without
        an acknowledgement is not taken out as it starts.
        """
        server.kill()
        self.primary.process.end(signal.SIGTERM)
        shutil.rmtree(server.folder / "data")
        shutil.copytree(self.primary.folder / "data", server.folder / "data", symlinks=True)
        for each in (self.primary, server):
            each.start()
            each.wait()
        server.sql("SET GLOBAL gtid_slave_pos = @@gtid_binlog_pos")
        self.link()
        self.settle()

    @contextmanager
    def unacknowledged(self) -> Iterator[None]:
        """Let a replica go and come in the block: the primary waits for none, and for all again at its end.

        A primary with ``rpl_semi_sync_master_enabled`` may hang for good when a replica connects anew: the end of the
        old connection (``Ack_receiver::remove_slave``) waits for a thread that nobody wakes, and all others for it.
        """
        self.wait_for_each_write_to_be_received(False)
        yield
        self.wait_for_each_write_to_be_received(True)
        # What was acknowledged until now was so without the replica.
        self.settle()

    def settle(self) -> None:
        """Wait until every replica has what the primary has."""
        try:
            wait_until(lambda: all(map(self._is_level, self.replicas)), f"the replicas have all of {self.primary.name}")
        except TimeoutError as error:
            raise TimeoutError(f"{error} {[replication(replica) for replica in self.replicas]}") from error

    def _is_level(self, replica: Server) -> bool:
        """Whether the replica has applied the primary's last transaction."""
        (wanted,) = self.primary.sql("SELECT @@gtid_binlog_pos AS position")
        (reached,) = replica.sql(f"SELECT MASTER_GTID_WAIT('{wanted['position']}', 1) AS answer")
        if reached["answer"] == 0:
            return True
        start_again(replica)
        return False

    def wait_for_each_write_to_be_received(self, wanted: bool) -> None:
        """Whether the primary answers a COMMIT when a replica has received it."""
        self.primary.sql(f"SET GLOBAL rpl_semi_sync_master_enabled = {int(wanted)}")


class Clusters:
    """What a folder holds: the servers' data, their pid files, and which one is whose primary."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self.all: dict[str, Cluster] = self._load()

    def up(self, count: int, *, replicas: int) -> None:
        """Start ``count`` clusters; those that the folder has are started again as they were."""
        is_new = not self.all
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if is_new:
            self.all = self._plan(count, replicas)
            self.save()
        template = make_template(self.folder)
        for server in self.servers:
            server.create(template)
            server.start()
        for server in self.servers:
            server.wait()
        for cluster in self.all.values():
            cluster.link()
            if is_new:
                load_time_zones(cluster.primary)

    def down(self) -> None:
        """End every server that was started here, and remove the folder."""
        for server in self.servers:
            server.process.end()
        self.all = {}
        if (self.folder / STATE).exists():
            shutil.rmtree(self.folder)

    @property
    def servers(self) -> list[Server]:
        return [server for cluster in self.all.values() for server in cluster.servers]

    def save(self) -> None:
        """Note which server is where and whose primary."""
        (self.folder / STATE).write_text(json.dumps({name: noted(each) for name, each in self.all.items()}, indent=1))

    def _load(self) -> dict[str, Cluster]:
        try:
            state = json.loads((self.folder / STATE).read_text())
        except FileNotFoundError:
            return {}
        return {name: self._cluster(name, entry["servers"], entry["primary"]) for name, entry in state.items()}

    def _plan(self, count: int, replicas: int) -> dict[str, Cluster]:
        ports = iter(free_ports(count * (1 + replicas)))
        planned = {}
        for domain in range(1, count + 1):
            names = [f"c{domain}{letter}" for letter in LETTERS[: 1 + replicas]]
            servers = {
                name: {"port": next(ports), "number": 10 * domain + place, "domain": domain}
                for place, name in enumerate(names, start=1)
            }
            planned[f"c{domain}"] = self._cluster(f"c{domain}", servers, names[0])
        return planned

    def _cluster(self, name: str, servers: dict[str, Any], primary: str) -> Cluster:
        return Cluster(name, [Server(self.folder / key, **entry) for key, entry in servers.items()], primary)


@contextmanager
def started(folder: Path, count: int, *, replicas: int) -> Iterator[Clusters]:
    """New clusters for the block, also where not all of them start."""
    clusters = Clusters(folder)
    try:
        clusters.up(count, replicas=replicas)
        yield clusters
    finally:
        clusters.down()


def noted(cluster: Cluster) -> dict[str, Any]:
    """What the state file says of a cluster."""
    servers = {s.name: {"port": s.port, "number": s.number, "domain": s.domain} for s in cluster.servers}
    return {"primary": cluster.primary.name, "servers": servers}


def replication(server: Server) -> dict[str, Any]:
    """What a replica says of its replication."""
    rows = server.sql("SHOW SLAVE STATUS")
    return rows[0] if rows else {}


def follows(server: Server) -> bool:
    """Whether both threads of a replica run; raises what stopped them."""
    state = replication(server)
    if state.get("Last_SQL_Error") or state.get("Last_IO_Errno") in (1236, 1593):
        raise RuntimeError(f"{server.name}: {state['Last_SQL_Error'] or state['Last_IO_Error']}")
    return (state.get("Slave_IO_Running"), state.get("Slave_SQL_Running")) == ("Yes", "Yes")


def start_again(server: Server) -> bool:
    """Whether a replica follows; what does not run is started: on a busy machine a thread may end without an error."""
    if follows(server):
        return True
    server.sql("START SLAVE")
    return False


def has_applied_all(server: Server) -> bool:
    """Whether a replica has applied all it received: its state line says so too early, with parallel appliers."""
    (applied,) = server.sql("SELECT @@gtid_slave_pos AS position")
    return set(replication(server)["Gtid_IO_Pos"].split(",")) <= set(applied["position"].split(","))
