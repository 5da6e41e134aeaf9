"""``manage.py make_aws``: what the settings name on AWS, made on an emulator."""

from __future__ import annotations

import os
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from config.queues import read_tasks
from horizon_shards.testing.queues import make_queue

#: After so many tries a task goes to the dead-letter queue.
TRIES = 5
ROLE = "arn:aws:iam::000000000000:role/firehose"


class Command(BaseCommand):
    """Streams, buckets and queues; what is there already stays."""

    help = (
        "Makes the bucket, the delivery stream of each shard (FIREHOSE_STREAM), the queues (QUEUE_PREFIX) and the "
        "bucket of screenshots (SCREENSHOT_BUCKET) on the emulator of AWS_ENDPOINT_URL. In production that is the work "
        "of who owns the account."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Where Firehose delivers."""
        parser.add_argument("--bucket", required=True)
        parser.add_argument("--prefix", default="views/", help="the folder in the bucket (views/)")

    def handle(self, *, bucket: str, prefix: str, **options: Any) -> None:
        """Make them and tell."""
        if not os.environ.get("AWS_ENDPOINT_URL"):
            raise CommandError("make_aws is for an emulator: set AWS_ENDPOINT_URL to its address.")
        buckets, streams, queues = bucket_names(bucket), stream_names(), queue_names()
        for name in buckets:
            make_bucket(name)
        for name in streams:
            make_stream(name, bucket=bucket, prefix=prefix)
        for name in queues:
            make_queue(client("sqs"), name, tries=TRIES)
        self.stdout.write(f"Made {', '.join([*buckets, *streams, *queues])}.")


def client(service: str) -> Any:
    """A client of boto3's for the endpoint of the environment."""
    import boto3

    return boto3.client(service)


def stream_names() -> list[str]:
    """The stream of each shard, if views go to one."""
    stream = settings.HORIZON_SINKS["track"].get("OPTIONS", {}).get("STREAM", "")
    return [stream.format(shard=shard) for shard in settings.DATABASES["track"]["SHARDS"]] if stream else []


def bucket_names(delivered: str) -> list[str]:
    """That of what Firehose delivers, and that of screenshots, if they go to one."""
    return list(dict.fromkeys([delivered, settings.SCREENSHOTS.bucket or delivered]))


def queue_names() -> list[str]:
    """The queues of the tasks, if they go to any."""
    backends = read_tasks().values()
    return [f"{backend['OPTIONS']['QUEUE_PREFIX']}{name}" for backend in backends for name in backend["QUEUES"]]


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
