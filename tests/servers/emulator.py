"""MiniStack, which stands in for AWS, as a process of its own on loopback."""

from __future__ import annotations

import os
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import boto3

from tests.servers.processes import Process, free_ports
from tests.waiting import PATIENCE_SECONDS

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
        give_up_at = time.monotonic() + PATIENCE_SECONDS
        while not self._answers():
            if self._process.pid() is None or time.monotonic() > give_up_at:
                raise RuntimeError(f"ministack does not answer:\n{self._log.read_text(errors='replace')[-2_000:]}")
            time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/_ministack/health", timeout=1) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def end(self) -> None:
        self._process.end()

    def client(self, service: str) -> Any:
        """A client of boto3's."""
        return boto3.session.Session("test", "test", region_name=REGION).client(service, endpoint_url=self.url)
