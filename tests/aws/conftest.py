"""moto's server on loopback, emptied for each test."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest

CREDENTIALS = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "eu-west-1"}


class WithoutMoto(pytest.Module):
    """A module of these tests where moto is missing."""

    def collect(self) -> Any:
        pytest.skip("needs moto's server: pip install 'moto[server,firehose,s3]'", allow_module_level=True)


def pytest_pycollect_makemodule(module_path: Any, parent: Any) -> pytest.Module | None:
    try:
        import moto.server  # noqa: F401
    except ImportError:
        return WithoutMoto.from_parent(parent, path=module_path)
    return None


@pytest.fixture(scope="session")
def moto_url() -> Iterator[str]:
    """The address of the emulator."""
    from moto.server import ThreadedMotoServer

    # The server is this process: without credentials of its own it would look for some in the network.
    for name, value in CREDENTIALS.items():
        os.environ.setdefault(name.upper() if name != "region_name" else "AWS_DEFAULT_REGION", value)
    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def aws(moto_url: str) -> Iterator[Callable[[str], Any]]:
    """Makes boto3 clients of the emulator."""

    def client(service: str) -> Any:
        return boto3.session.Session().client(service, endpoint_url=moto_url, **CREDENTIALS)

    yield client
    import urllib.request

    urllib.request.urlopen(urllib.request.Request(f"{moto_url}/moto-api/reset", method="POST")).close()
