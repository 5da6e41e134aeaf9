"""MariaDB servers on loopback, each in a folder of its own, one for each database of a benchmark."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

#: ``alias=port`` of each server, for the settings.
PORTS_VARIABLE = "BENCHMARK_PORTS"
#: Nothing waits for the disk, and all rows fit into memory, on either side.
OPTIONS = (
    "--read-only=0",
    "--skip-log-bin",
    "--innodb-buffer-pool-size=512M",
    "--innodb-flush-log-at-trx-commit=0",
)


@contextmanager
def servers(aliases: Sequence[str]) -> Iterator[None]:
    """Start them for the block, and tell the settings their ports."""
    from tests.servers.mariadb import Server, make_template
    from tests.servers.processes import free_ports

    with tempfile.TemporaryDirectory(prefix="horizon_shards_benchmark_") as name:
        folder = Path(name)
        template = make_template(folder)
        ports = free_ports(len(aliases))
        started = [
            Server(folder / alias, port=port, number=number, domain=number)
            for number, (alias, port) in enumerate(zip(aliases, ports, strict=True), 1)
        ]
        try:
            for server in started:
                server.create(template)
                server.start(*OPTIONS)
            for server in started:
                server.wait()
            os.environ[PORTS_VARIABLE] = ",".join(f"{server.name}={server.port}" for server in started)
            yield
        finally:
            for server in started:
                server.kill()
