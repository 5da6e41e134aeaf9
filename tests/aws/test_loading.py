"""``load_firehose`` from S3: prefixes, what Firehose could not deliver, rejects, and buckets that are not there."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from horizon_shards.loading.ledger import loaded_object
from horizon_shards.loading.places import S3
from tests.aws.conftest import CREDENTIALS
from tests.loading.conftest import counts, event, forget_objects, stored

Load = Callable[..., dict[str, Any]]


@pytest.fixture
def s3(aws: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch) -> Any:
    """A client, and the bucket ``lake``."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv("AWS_DEFAULT_REGION" if name == "region_name" else name.upper(), value)
    client = aws("s3")
    client.create_bucket(Bucket="lake", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    return client


@pytest.fixture
def load(moto_url: str, transactional_db: None) -> Load:
    """Loads from the bucket into ``default``; the report."""
    forget_objects()

    def run(address: str, *arguments: str) -> dict[str, Any]:
        out = StringIO()
        given = ["--database=default", f"--endpoint={moto_url}", "--region=eu-west-1", "--json", "--allow-bad"]
        given += ["--into=sinks.Hit=sinks.StoredHit", *arguments]
        call_command("load_firehose", address, *given, stdout=out)
        found: dict[str, Any] = json.loads(out.getvalue())
        return found

    return run


def put(s3: Any, key: str, *documents: Any) -> None:
    content = "".join(one if isinstance(one, str) else json.dumps(one) for one in documents).encode()
    s3.put_object(Bucket="lake", Key=key, Body=gzip.compress(content) if key.endswith(".gz") else content)


def test_objects_of_the_prefix_are_loaded_once_and_the_rest_is_told(s3: Any, load: Load) -> None:
    put(s3, "hits/2026/11/22/14/hits-1-a.gz", event(1), event(2))
    put(s3, "hits/2026/11/22/14/hits-1-b", event(2), event(3))
    put(s3, "hits/2026/", "")
    put(s3, "hits/processing-failed/2026/11/22/14/x.gz", {"errorCode": "Lambda.Timeout", "rawData": ""})
    put(s3, "other/a", event(9))
    report = load("s3://lake/hits/")
    assert (counts(report), stored()) == ((2, 3, 1), [1, 2, 3])
    (failed,) = report["failed"]
    assert failed["name"] == "s3://lake/hits/processing-failed/2026/11/22/14/x.gz"
    assert "Lambda.Timeout: 1" in failed["reason"]
    assert load("s3://lake/hits/")["known"] == 2
    assert load("s3://lake/hits/2026/11/22/14/hits-1-b")["known"] == 1
    put(s3, "hits/2026/11/22/14/hits-1-b", event(2), event(4))
    assert counts(load("s3://lake/hits/")) == (1, 1, 1)
    marks = loaded_object()._base_manager.using("default").exclude(digest="lock").order_by("pk")
    assert sorted(marks.values_list("row_count", "duplicate_count")) == [(1, 1), (1, 1), (2, 0)]


def test_bad_lines_stay_or_go_to_a_place_beside_the_others(s3: Any, load: Load) -> None:
    put(s3, "hits/a.gz", event(1), "\n{\n", event(2))
    report = load("s3://lake/hits")
    assert (report["bad_lines"][0]["name"], report["bad_lines"][0]["line"], stored()) == ("s3://lake/hits/a.gz", 2, [])
    report = load("s3://lake/hits", "--rejects=s3://lake/hits/rejects/")
    assert (counts(report), report["rejected"], stored()) == ((1, 2, 0), 1, [1, 2])
    (kept,) = s3.list_objects_v2(Bucket="lake", Prefix="hits/rejects/")["Contents"]
    assert s3.get_object(Bucket="lake", Key=kept["Key"])["Body"].read() == b"{\n"
    assert load("s3://lake/hits", "--rejects=s3://lake/hits/rejects/")["bad_lines"] == []


def test_what_s3_refuses_is_an_error_with_its_address(s3: Any, load: Load, moto_url: str) -> None:
    with pytest.raises(CommandError, match=r"s3://nowhere/x: .*NoSuchBucket"):
        load("s3://nowhere/x")
    with pytest.raises(CommandError, match="names no bucket"):
        load("s3:///x")
    put(s3, "hits/a", event(1))
    place = S3("s3://lake/hits/", endpoint=moto_url, region="eu-west-1")
    (listed,) = place.objects()
    put(s3, "hits/a", event(2))
    with pytest.raises(OSError, match=r"s3://lake/hits/a: .*(PreconditionFailed|412)"):
        place.open(listed)
