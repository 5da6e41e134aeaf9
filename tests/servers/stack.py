"""The whole example on the servers that this machine has, all on loopback and in one folder.

Two clusters of MariaDB with a replica each, two of memcached, PostgreSQL as a strict Redshift, MiniStack as AWS;
gunicorn, workers, a worker with a browser, and the loader.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from base64 import urlsafe_b64encode
from importlib.util import find_spec
from pathlib import Path

from tests.servers.clusters import Cluster, Clusters
from tests.servers.emulator import Emulator
from tests.servers.mariadb import APP
from tests.servers.memcached import Memcached
from tests.servers.postgresql import USER, PostgreSQL
from tests.servers.processes import Process, open_folder
from tests.waiting import PATIENCE_SECONDS

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "example_project"
SHARDS = ("track-1", "track-2")
BUCKET, SCREENSHOTS = "horizon-lake", "horizon-screenshots"
LOAD = ("load_firehose", f"s3://{BUCKET}/views/", "--into=track.PageView=warehouse.PageEvent")
WORKER = [sys.executable, str(EXAMPLE / "manage.py"), "work_queue"]
GUNICORN = str(Path(sys.executable).with_name("gunicorn"))
#: MySQL and MariaDB compare text without regard to case unless told otherwise.
DATABASES = {"app_track": "utf8mb4_bin", "app_default": "utf8mb4_general_ci", "app_directory": "utf8mb4_bin"}


class Stack:
    """All servers and processes; :meth:`up` starts them in their order, :meth:`down` ends what has begun."""

    def __init__(self, folder: Path, *, port: int) -> None:
        self.folder = folder
        self.url = f"http://127.0.0.1:{port}"
        self.port = port
        self.clusters = Clusters(folder / "clusters")
        self.warehouse = PostgreSQL(folder / "warehouse")
        self.caches = [Memcached(folder) for _ in SHARDS]
        self.aws = Emulator(folder)
        self.processes: dict[str, Process] = {}
        self.environment: dict[str, str] = {}

    def up(self, *, workers: int = 2) -> None:
        """Servers, then tables, then the processes of the example."""
        self.start_servers()
        # The past was collected into the shards; what comes from now on goes by Firehose.
        self.environment = {**os.environ, **self.variables()}
        self.run("manage.py", "make_profile_tables")
        self.run("demo.py", "--no-serve")
        self.environment |= {"FIREHOSE_STREAM": "page-views-{shard}", "QUEUE_PREFIX": "stats-"}
        self.environment |= {"SCREENSHOT_BUCKET": SCREENSHOTS, "SCREENSHOT_QUEUE": "screenshots"}
        self.run("manage.py", "make_aws", f"--bucket={BUCKET}")
        self.run("manage.py", "aggregate", "--enqueue")
        web = [GUNICORN, "--chdir", str(EXAMPLE), "--bind", f"127.0.0.1:{self.port}", "--workers=2", "config.wsgi"]
        self.start("web", web)
        for number in range(1, workers + 1):
            self.start(f"worker-{number}", WORKER)
        if self.has_browser:
            self.start("screenshots", [*WORKER, "--queue=screenshots"])
        self.wait()

    @property
    def has_browser(self) -> bool:
        """Whether this machine can take screenshots."""
        return shutil.which("chromium") is not None and find_spec("playwright") is not None

    def start_servers(self) -> None:
        """Databases, caches and the emulator, empty."""
        for cache in self.caches:
            cache.start()
        self.clusters.up(len(SHARDS), replicas=1)
        for cluster in self.clusters.all.values():
            made = [
                f"CREATE DATABASE {name} CHARACTER SET utf8mb4 COLLATE {order}" for name, order in DATABASES.items()
            ]
            cluster.primary.sql(*made)
            cluster.settle()
        self.warehouse.start()
        self.warehouse.sql("CREATE DATABASE warehouse")
        self.aws.start()

    def variables(self) -> dict[str, str]:
        """What a production sets, for these servers."""
        clusters = list(self.clusters.all.values())
        pairs = list(zip(SHARDS, clusters, strict=True))
        s3 = f"s3_endpoint={self.aws.url}"
        return self.aws.environment | {
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(EXAMPLE)]),
            "DATA_DIR": str(self.folder / "data"),
            "SECRET_KEY": secrets.token_urlsafe(40),
            "DEBUG": "1",
            "DATABASE_URL": primary_url(clusters[0], "app_default"),
            "DIRECTORY_URL": primary_url(clusters[0], "app_directory"),
            "SHARD_URLS": ",".join(f"{name}={primary_url(cluster, 'app_track')}" for name, cluster in pairs),
            "REPLICA_URLS": ",".join(f"{name}={replica_url(cluster, 'app_track')}" for name, cluster in pairs),
            "DYNAMODB_PREFIX": "stats-",
            # Websites of this machine, and a browser that has no sandbox for root.
            "SCREENSHOT_PRIVATE_ADDRESSES": "1",
            "SCREENSHOT_NO_SANDBOX": str(int(os.getuid() == 0)),
            "SCREENSHOT_KEYS": urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            "WAREHOUSE_URL": f"strict-redshift://{USER}@127.0.0.1:{self.warehouse.port}/warehouse?{s3}",
            "CACHE_URLS": ",".join(
                f"{name}=memcached://{cache.address}" for name, cache in zip("ab", self.caches, strict=True)
            ),
        }

    def run(self, *arguments: str) -> str:
        """Run Python in the folder of the example; what it printed."""
        done = subprocess.run(
            [sys.executable, *arguments], cwd=EXAMPLE, env=self.environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def load(self) -> str:
        """Bring what Firehose delivered into the warehouse, and count it; what the loader printed."""
        loaded = self.run("manage.py", *LOAD)
        self.run("manage.py", "load_warehouse")
        return loaded

    def start(self, name: str, command: list[str]) -> None:
        """Start a process of the example."""
        self.processes[name] = Process(self.folder / f"{name}.pid")
        self.processes[name].start(command, log=self.folder / f"{name}.log", environment=self.environment)

    def wait(self) -> None:
        """Wait until the web server answers."""
        page = f"{self.url}/t/track.js"
        self.processes["web"].wait_for_answer(
            lambda: urllib.request.urlopen(page, timeout=PATIENCE_SECONDS).close(),
            failing=OSError,
            log=self.folder / "web.log",
        )

    def down(self) -> None:
        """End all that was started here, what serves before what is served."""
        # All are told before one is waited for: a worker ends when its question to the queue is answered.
        for process in self.processes.values():
            process.send(signal.SIGTERM)
        for process in self.processes.values():
            process.end(signal.SIGTERM)
        self.aws.end()
        for cache in self.caches:
            cache.kill()
        self.warehouse.kill()
        self.clusters.down()


def serve(port: int, pause_seconds: float) -> None:
    """Start all of it in a temporary folder and load what is delivered, again and again, until Ctrl-C; then end all."""
    with open_folder() as folder:
        stack = Stack(folder, port=port)
        try:
            say("Starting two MariaDB clusters, PostgreSQL, memcached and MiniStack ...")
            stack.up()
            say(f"Dashboard: {stack.url}/    Logs: {folder}    Ctrl-C ends all of it.")
            if not stack.has_browser:
                say("No screenshots: they need Chromium (apt-get install chromium) and playwright.")
            while True:
                say(stack.load().strip())
                time.sleep(pause_seconds)
        except KeyboardInterrupt:
            say("\nEnding it ...")
        finally:
            stack.down()


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def primary_url(cluster: Cluster, database: str) -> str:
    """A cluster by its primary of now; the engine finds the next one among its servers."""
    instances = "+".join(f"127.0.0.1:{server.port}" for server in cluster.servers)
    return f"{server_url(cluster.primary.port, database)}?instances={instances}"


def replica_url(cluster: Cluster, database: str) -> str:
    return server_url(cluster.replicas[0].port, database)


def server_url(port: int, database: str) -> str:
    return f"aurora://{APP['user']}:{APP['password']}@127.0.0.1:{port}/{database}"
