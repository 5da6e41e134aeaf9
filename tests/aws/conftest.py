"""moto's server on loopback, emptied for each test."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest

from horizon_shards.testing.queues import make_queue

CREDENTIALS = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "eu-west-1"}


class WithoutMoto(pytest.Module):
    """A module of these tests where moto is missing."""

    def collect(self) -> Any:
        pytest.skip("needs moto's server: pip install 'moto[server,firehose,s3,sqs]'", allow_module_level=True)


def pytest_pycollect_makemodule(module_path: Any, parent: Any) -> pytest.Module | None:
    try:
        import moto.server  # noqa: F401
    except (ImportError, UserWarning):  # a warning where moto is there and its server is not
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


class Stack:
    """A queue, its dead-letter queue, a bucket, and the settings that name them."""

    def __init__(self, aws: Callable[[str], Any], url: str, *, tries: int = 3) -> None:
        self.sqs, self.s3 = aws("sqs"), aws("s3")
        self.bucket = "horizon-payloads"
        self.s3.create_bucket(Bucket=self.bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        self.url, self.dead_url = make_queue(self.sqs, "t-default", tries=tries)
        self.options: dict[str, Any] = {
            "REGION": "eu-west-1",
            "ENDPOINT": url,
            "CLIENT": {key: value for key, value in CREDENTIALS.items() if key != "region_name"},
            "QUEUE_PREFIX": "t-",
            "BUCKET": self.bucket,
            "RETRY_SECONDS": 0,
            "WAIT_SECONDS": 0,
        }

    @property
    def tasks(self) -> dict[str, Any]:
        """``TASKS``."""
        entry = {"BACKEND": "horizon_shards.queues.SQSBackend", "QUEUES": ["default", "gone"], "OPTIONS": self.options}
        return {"default": entry}

    def waiting(self, *, dead: bool = False) -> int:
        """How many messages a queue has, shown and hidden."""
        names = [f"ApproximateNumberOfMessages{which}" for which in ("", "NotVisible", "Delayed")]
        url = self.dead_url if dead else self.url
        found = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        return sum(int(found[name]) for name in names)

    def objects(self) -> list[str]:
        """The keys in the bucket."""
        return [found["Key"] for found in self.s3.list_objects_v2(Bucket=self.bucket).get("Contents", [])]


@pytest.fixture
def stack(aws: Callable[[str], Any], moto_url: str) -> Stack:
    """Of this test alone: moto forgets all of it."""
    return Stack(aws, moto_url)


@pytest.fixture
def use(stack: Stack, settings: Any) -> Callable[..., Any]:
    """Makes the stack the default backend, with other options if any are given; gives the backend."""

    def change(**options: Any) -> Any:
        from horizon_shards.queues.api import task_backends

        stack.options |= options
        settings.TASKS = stack.tasks
        return task_backends["default"]

    return change
