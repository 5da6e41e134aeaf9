"""The example, end to end by environment variables alone: beacon, Firehose, S3, warehouse, the page of trends."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.aws.conftest import CREDENTIALS
from tests.servers.processes import free_ports
from tests.waiting import PATIENCE_SECONDS, wait_until

pytest.importorskip("dj_database_url", reason="needs what the example needs: pip install '.[example]'")

ROOT = Path(__file__).resolve().parents[2]
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:148.0) Gecko/20100101 Firefox/148.0"
PREPARE = """
import django
django.setup()
from django.core.management import call_command
call_command("migrate", database="default", verbosity=0)
call_command("migrate", "horizon_shards", database="directory", verbosity=0)
call_command("migrate", database="track", verbosity=0)
call_command("migrate", "warehouse", database="warehouse", verbosity=0)
from track.models import Website
for name in "abc":
    Website.objects.create(domain=f"{name}.example", key=name)
"""
#: Loads, and dies when the second object is written, and its transaction is open.
DIE = """
import os, signal, sys
import django
django.setup()
from django.core.management import call_command
from django.db import connections

marks = []

def die(execute, sql, params, many, context):
    result = execute(sql, params, many, context)
    if sql.startswith('INSERT INTO "horizon_loaded_object"') and "lock" not in params:
        marks.append(params)
    if len(marks) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return result

with connections["warehouse"].execute_wrapper(die):
    call_command(*sys.argv[1:])
"""
LOAD = ["load_firehose", "s3://lake/views/", "--into=track.PageView=warehouse.PageEvent"]


@pytest.fixture
def environment(moto_url: str, tmp_path: Path) -> dict[str, str]:
    """What a production of two shards sets; the rest is that of a laptop."""
    kept = {name: value for name, value in os.environ.items() if not name.endswith(("_URL", "_URLS"))}
    return kept | {
        "AWS_ACCESS_KEY_ID": CREDENTIALS["aws_access_key_id"],
        "AWS_SECRET_ACCESS_KEY": CREDENTIALS["aws_secret_access_key"],
        "AWS_DEFAULT_REGION": CREDENTIALS["region_name"],
        "AWS_ENDPOINT_URL": moto_url,
        "FIREHOSE_STREAM": "page-views-{shard}",
        "SHARDS": "2",
        "DEBUG": "1",
        "DATA_DIR": str(tmp_path / "data"),
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'example_project'}",
    }


@pytest.fixture
def streams(aws: Callable[[str], Any]) -> Any:
    """A bucket, and a delivery stream into it for each shard; the client of S3."""
    s3, firehose = aws("s3"), aws("firehose")
    s3.create_bucket(Bucket="lake", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    for shard in ("track-1", "track-2"):
        to = {"RoleARN": "arn:aws:iam::123456789012:role/r", "BucketARN": "arn:aws:s3:::lake", "Prefix": "views/"}
        firehose.create_delivery_stream(DeliveryStreamName=f"page-views-{shard}", ExtendedS3DestinationConfiguration=to)
    return s3


@pytest.fixture
def site(environment: dict[str, str], streams: Any) -> Iterator[str]:
    """The address of the example, served by a process of its own."""
    python(environment, "-c", PREPARE)
    (port,) = free_ports(1)
    command = [sys.executable, "manage.py", "runserver", "--noreload", f"127.0.0.1:{port}"]
    server = subprocess.Popen(
        command, cwd=ROOT / "example_project", env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    wait_until(lambda: answers(f"http://127.0.0.1:{port}/t/track.js") or server.poll() is not None)
    yield f"http://127.0.0.1:{port}"
    server.terminate()
    server.wait(PATIENCE_SECONDS)


def python(environment: dict[str, str], *arguments: str, code: int = 0) -> str:
    """Run Python in the example's folder; what it printed."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT / "example_project",
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == code, f"{arguments} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def answers(url: str) -> bool:
    try:
        return bool(get(url))
    except OSError:
        return False


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=PATIENCE_SECONDS) as answer:
        return str(answer.read().decode())


def post(url: str, report: dict[str, Any]) -> int:
    request = urllib.request.Request(url, json.dumps(report).encode(), {"User-Agent": FIREFOX})
    with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:
        return int(answer.status)


def lines(s3: Any) -> list[Any]:
    """The documents of all objects."""
    keys = [found["Key"] for found in s3.list_objects_v2(Bucket="lake", Prefix="views/").get("Contents", ())]
    bodies = b"".join(s3.get_object(Bucket="lake", Key=key)["Body"].read() for key in keys)
    return [json.loads(line) for line in bodies.splitlines()]


def in_warehouse(environment: dict[str, str]) -> tuple[int, int, int, int]:
    """Rows, events, rows that the objects which are done had, and these objects."""
    database = sqlite3.connect(Path(environment["DATA_DIR"]) / "warehouse.sqlite3")
    rows, events = database.execute("SELECT COUNT(*), COUNT(DISTINCT event_id) FROM warehouse_pageevent").fetchone()
    done = database.execute("SELECT SUM(row_count), COUNT(*) - 1 FROM horizon_loaded_object").fetchone()
    database.close()
    return rows, events, *done


def table(page: str) -> list[tuple[str, str, int]]:
    """Website, path and views of the top pages."""
    found = re.findall(r'<tr><th scope="row">(\S+)</th><td>(.*?)</td><td class="strong">(\d+)</td>', page)
    return [(domain, path, int(views)) for domain, path, views in found]


def test_from_the_beacon_to_the_page(site: str, environment: dict[str, str], streams: Any) -> None:
    """Delivered twice, loaded twice, killed in the middle: the page shows what was collected."""
    reports = [{"site": "abc"[n % 3], "path": f"/{n % 2}/", "id": str(uuid.uuid4())} for n in range(30)]
    assert {post(f"{site}/t/event", report) for report in [*reports, *reports[:6]]} == {204}
    wait_until(lambda: len(lines(streams)) == 36)
    keys = [found["Key"] for found in streams.list_objects_v2(Bucket="lake", Prefix="views/")["Contents"]]
    for number, key in enumerate(keys):
        streams.copy_object(Bucket="lake", Key=f"views/again-{number}", CopySource={"Bucket": "lake", "Key": key})
    python(environment, "-c", DIE, *LOAD, code=-signal.SIGKILL)
    rows, events, done_rows, objects = in_warehouse(environment)
    assert (rows, events, objects) == (done_rows, done_rows, 1)
    assert " rows, " in python(environment, "manage.py", *LOAD)
    assert in_warehouse(environment) == (30, 30, 30, 2 * len(keys))
    assert python(environment, "manage.py", *LOAD).startswith("0 objects loaded: 0 rows, 0 duplicates")
    python(environment, "manage.py", "load_warehouse")
    expected = sorted((f"{name}.example", f"/{n}/", 5) for name in "abc" for n in (0, 1))
    assert sorted(table(get(f"{site}/trends/?days=0"))) == expected
    python(environment, "manage.py", "load_warehouse")
    assert sorted(table(get(f"{site}/trends/?days=0"))) == expected
    assert "3 websites in the warehouse" in get(f"{site}/?days=0")  # the report reads it there by default
