"""MiniStack, which stands in for AWS, as a process of its own on loopback."""

from __future__ import annotations

import os
import sys
import urllib.request
from pathlib import Path
from typing import Any

import boto3

from tests.servers.processes import Process, free_ports

REGION = "eu-west-1"
PROGRAM = Path(sys.executable).with_name("ministack")


class Emulator:
    """S3, Firehose, SQS and DynamoDB on one port; what it holds is in its memory."""

    def __init__(self, folder: Path) -> None:
        (self.port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{self.port}"
        #: What boto3 reads: an account of nobody's.
        self.environment = {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
        }
        self._log = folder / "emulator.log"
        self._process = Process(folder / "emulator.pid")

    def start(self) -> None:
        """Start it and wait until it answers; by itself it would listen on all addresses."""
        if not PROGRAM.exists():
            raise RuntimeError("ministack is missing: pip install ministack")
        place = {"BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(self.port)}
        self._process.start([str(PROGRAM)], log=self._log, environment={**os.environ, **place})
        self._process.wait_for_answer(self._ask, failing=OSError, log=self._log)

    def _ask(self) -> None:
        urllib.request.urlopen(f"{self.url}/_ministack/health", timeout=1).close()

    def end(self) -> None:
        self._process.end()

    def client(self, service: str) -> Any:
        """A client of boto3's."""
        return boto3.session.Session("test", "test", region_name=REGION).client(service, endpoint_url=self.url)
