"""moto's server as DynamoDB for the tests of the example, and a factory of visitors."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator

import pytest

#: The credentials are those of the emulator; PynamoDB finds them as boto3 does.
VARIABLES = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "eu-west-1"}
OPTIONS = {"PREFIX": "stats-", "REGION": "eu-west-1", "TIMEOUT_SECONDS": 60}


class Server:
    """An emulator on loopback."""

    def __init__(self, server) -> None:
        self.server = server
        host, port = server.get_host_and_port()
        self.url = f"http://{host}:{port}"

    def reset(self) -> None:
        """Forget all tables."""
        urllib.request.urlopen(urllib.request.Request(f"{self.url}/moto-api/reset", method="POST")).close()


@pytest.fixture(scope="module")
def dynamodb_server() -> Iterator[Server]:
    """One for the module."""
    pytest.importorskip("pynamodb", reason="needs PynamoDB: pip install '.[dynamodb]'")
    moto = pytest.importorskip("moto.server", reason="needs moto's server: pip install 'moto[server]'")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in VARIABLES.items():
            patch.setenv(name, value)
        server = moto.ThreadedMotoServer("127.0.0.1", 0)
        server.start()
        yield Server(server)
        server.stop()
