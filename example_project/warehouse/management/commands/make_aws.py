"""``manage.py make_aws``: what the settings name on AWS, made on an emulator."""

from __future__ import annotations

import json
import os
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from config.queues import read_tasks

#: After so many tries a task goes to the dead-letter queue.
TRIES = 5
ROLE = "arn:aws:iam::000000000000:role/firehose"


class Command(BaseCommand):
    """Streams, a bucket and queues; what is there already stays."""

    help = (
        "Makes the bucket, the delivery stream of each shard (FIREHOSE_STREAM) and the queues (QUEUE_PREFIX) on the "
        "emulator of AWS_ENDPOINT_URL. In production that is the work of who owns the account."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Where Firehose delivers."""
        parser.add_argument("--bucket", required=True)
        parser.add_argument("--prefix", default="views/", help="the folder in the bucket (views/)")

    def handle(self, *, bucket: str, prefix: str, **options: Any) -> None:
        """Make them and tell."""
        if not os.environ.get("AWS_ENDPOINT_URL"):
            raise CommandError("make_aws is for an emulator: set AWS_ENDPOINT_URL to its address.")
        streams, queues = stream_names(), queue_names()
        make_bucket(bucket)
        for name in streams:
            make_stream(name, bucket=bucket, prefix=prefix)
        for name in queues:
            make_queue(name)
        self.stdout.write(f"Made {bucket}, {', '.join([*streams, *queues]) or 'no stream and no queue'}.")


def client(service: str) -> Any:
    """A client of boto3's for the endpoint of the environment."""
    import boto3

    return boto3.client(service)


def stream_names() -> list[str]:
    """The stream of each shard, if views go to one."""
    stream = settings.HORIZON_SINKS["track"].get("OPTIONS", {}).get("STREAM", "")
    return [stream.format(shard=shard) for shard in settings.DATABASES["track"]["SHARDS"]] if stream else []


def queue_names() -> list[str]:
    """The queue of the tasks, if they go to one."""
    return [f"{backend['OPTIONS']['QUEUE_PREFIX']}{name}" for name, backend in read_tasks().items()]


def make_bucket(name: str) -> None:
    s3 = client("s3")
    if name not in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]:
        where = {"LocationConstraint": s3.meta.region_name}
        s3.create_bucket(Bucket=name, CreateBucketConfiguration=where)


def make_stream(name: str, *, bucket: str, prefix: str) -> None:
    firehose = client("firehose")
    if name not in firehose.list_delivery_streams(Limit=1_000)["DeliveryStreamNames"]:
        target = {"RoleARN": ROLE, "BucketARN": f"arn:aws:s3:::{bucket}", "Prefix": prefix}
        firehose.create_delivery_stream(DeliveryStreamName=name, ExtendedS3DestinationConfiguration=target)


def make_queue(name: str) -> None:
    """The queue, and one for what was tried so often in vain; making one that is there is no error."""
    sqs = client("sqs")
    dead = sqs.create_queue(QueueName=f"{name}-dead")["QueueUrl"]
    named = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]
    policy = {"deadLetterTargetArn": named["QueueArn"], "maxReceiveCount": TRIES}
    sqs.create_queue(QueueName=name, Attributes={"RedrivePolicy": json.dumps(policy)})
