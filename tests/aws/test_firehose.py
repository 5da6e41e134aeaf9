"""FirehoseSink against the emulator: what is put lies in S3, line by line."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from horizon_shards.sinks import FirehoseSink, lifetime
from tests.sinks.conftest import firehose_options, record


def test_what_is_put_is_delivered_to_the_bucket_of_its_shard(aws: Callable[[str], Any], moto_url: str) -> None:
    s3, firehose = aws("s3"), aws("firehose")
    for shard in ("a", "b"):
        bucket = f"horizon-{shard}"
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        to = {"RoleARN": "arn:aws:iam::123456789012:role/r", "BucketARN": f"arn:aws:s3:::{bucket}"}
        firehose.create_delivery_stream(DeliveryStreamName=f"s-{shard}", ExtendedS3DestinationConfiguration=to)
    sink = FirehoseSink("test", firehose_options(moto_url))
    sink.put_many(record(n, shard="ab"[n % 2], text="x" * 200) for n in range(1_000))
    sink.flush(120)
    lifetime.forget(sink)
    assert ids_in(s3, "horizon-a") == list(range(0, 1_000, 2))
    assert ids_in(s3, "horizon-b") == list(range(1, 1_000, 2))


def ids_in(s3: Any, bucket: str) -> list[int]:
    """The ids of all lines of all objects."""
    keys = [found["Key"] for found in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    bodies = b"".join(s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys)
    return sorted(json.loads(line)["id"] for line in bodies.splitlines())
