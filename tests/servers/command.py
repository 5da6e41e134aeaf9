"""``python -m tests.servers up|down|status|run|mysql|stack``: servers for tests, and the example on all of them."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.servers.clusters import FOLDER_VARIABLE, Clusters, started

DEFAULT_FOLDER = Path(tempfile.gettempdir()) / f"horizon_shards_servers_{os.getuid()}"


def main() -> int:
    arguments = parse()
    if arguments.command == "run":
        return run(arguments)
    if arguments.command == "mysql":
        return mysql(arguments)
    if arguments.command == "stack":
        return stack(arguments)
    clusters = Clusters(arguments.folder)
    if arguments.command == "up":
        clusters.up(arguments.clusters, replicas=arguments.replicas)
    elif arguments.command == "down":
        clusters.down()
    show(clusters)
    return 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.servers", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (
        ("up", "start the clusters, or what of them does not run"),
        ("down", "end every server and remove the folder"),
        ("status", "pid, port, role and position of every server"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument("--folder", type=Path, default=os.environ.get(FOLDER_VARIABLE) or DEFAULT_FOLDER)
        if name == "up":
            sizes(command)
    command = commands.add_parser("run", help="clusters of their own for one command, ended with it")
    sizes(command)
    command.add_argument("argv", nargs=argparse.REMAINDER, metavar="COMMAND")
    command = commands.add_parser("mysql", help="fetch MySQL, without installing it; one server for one command")
    command.add_argument("action", choices=("fetch", "run"))
    command.add_argument("argv", nargs=argparse.REMAINDER, metavar="COMMAND")
    command = commands.add_parser("stack", help="the whole example on servers of its own, until Ctrl-C")
    command.add_argument("--port", type=int, default=8000, help="of the dashboard (8000)")
    command.add_argument("--pause", type=float, default=10, metavar="SECONDS", help="between two loads (10)")
    return parser.parse_args()


def sizes(command: argparse.ArgumentParser) -> None:
    command.add_argument("--clusters", type=int, default=1, metavar="N")
    command.add_argument("--replicas", type=int, default=1, metavar="N", help="of each primary")


def run(arguments: argparse.Namespace) -> int:
    """Run the command with the folder of new clusters in its environment; its exit code."""
    argv = command_of(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with (
        tempfile.TemporaryDirectory(prefix="horizon_servers_") as folder,
        started(Path(folder) / "clusters", arguments.clusters, replicas=arguments.replicas) as clusters,
    ):
        return subprocess.call(argv, env={**os.environ, FOLDER_VARIABLE: str(clusters.folder)})


def command_of(arguments: argparse.Namespace) -> list[str]:
    return [word for word in arguments.argv if word != "--"]


def mysql(arguments: argparse.Namespace) -> int:
    """Fetch MySQL's programs; ``run``: the command with a new server in its environment, its exit code."""
    from tests.servers.mysql import environment, fetch, server

    if arguments.action == "fetch":
        sys.stdout.write(f"{fetch()}\n")
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory(prefix="horizon_servers_") as folder, server(Path(folder) / "mysql") as one:
        return subprocess.call(command_of(arguments), env={**os.environ, **environment(one)})


def stack(arguments: argparse.Namespace) -> int:
    from tests.servers.stack import serve

    # As Ctrl-C: what was started is ended.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    serve(arguments.port, arguments.pause)
    return 0


def show(clusters: Clusters) -> None:
    """Print the clusters, a line a server."""
    if not clusters.all:
        sys.stdout.write(f"No clusters in {clusters.folder}.\n")
    for cluster in clusters.all.values():
        for server in cluster.servers:
            role = "primary" if server is cluster.primary else "replica"
            sys.stdout.write(f"{cluster.name}  {server.name}  {role}  127.0.0.1:{server.port}  {server.described()}\n")
    if clusters.all:
        sys.stdout.write(f"export {FOLDER_VARIABLE}={clusters.folder}\n")
