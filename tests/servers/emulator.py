"""MiniStack, which stands in for AWS, as a process of its own on loopback."""

from __future__ import annotations

import json
import os
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import boto3

from tests.servers.processes import PATIENCE_SECONDS, Process, free_ports

REGION = "eu-west-1"
ACCOUNT = "000000000000"
PROGRAM = Path(sys.executable).with_name("ministack")


class Emulator:
    """S3, Firehose and SQS on one port; what it holds is in its memory."""

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

    def make_streams(self, names: list[str], *, bucket: str) -> None:
        """A bucket, and a delivery stream into it for each name."""
        where = {"LocationConstraint": REGION}
        self.client("s3").create_bucket(Bucket=bucket, CreateBucketConfiguration=where)
        target = {
            "RoleARN": f"arn:aws:iam::{ACCOUNT}:role/firehose",
            "BucketARN": f"arn:aws:s3:::{bucket}",
            "Prefix": "views/",
        }
        for name in names:
            self.client("firehose").create_delivery_stream(
                DeliveryStreamName=name, ExtendedS3DestinationConfiguration=target
            )

    def make_queue(self, name: str, *, tries: int = 5) -> None:
        """A queue, and one for what was tried so often in vain."""
        sqs = self.client("sqs")
        dead = sqs.create_queue(QueueName=f"{name}-dead")["QueueUrl"]
        named = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]
        policy = {"deadLetterTargetArn": named["QueueArn"], "maxReceiveCount": tries}
        sqs.create_queue(QueueName=name, Attributes={"RedrivePolicy": json.dumps(policy)})
