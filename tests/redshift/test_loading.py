"""``load_firehose`` by COPY and MERGE: each object and each event once, all of an object or nothing of it."""

from __future__ import annotations

import datetime as dt
import gzip
import json
import urllib.request
import uuid
from decimal import Decimal
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from horizon_shards.backends.redshift.bulk import CopyFailed, merge_from_s3
from horizon_shards.loading.ledger import loaded_object
from horizon_shards.sinks.lines import line_of
from horizon_shards.sinks.record import record_of
from tests.redshift.warehouse.models import Customer, Event, Visit

pytestmark = pytest.mark.django_db(transaction=True)
NOON = dt.datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=dt.timezone.utc)


@pytest.fixture
def s3(monkeypatch):
    """A stand-in for S3, with the bucket ``lake``, for the loader and for COPY."""
    server = pytest.importorskip("moto.server", reason="moto[server] is not installed")
    boto3 = pytest.importorskip("boto3", reason="boto3 is not installed")
    for name, value in (("ACCESS_KEY_ID", "x"), ("SECRET_ACCESS_KEY", "x"), ("DEFAULT_REGION", "eu-west-1")):
        monkeypatch.setenv(f"AWS_{name}", value)
    stand_in = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    stand_in.start()
    host, port = stand_in.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    connection.close()
    # What moto keeps is the process's: other tests' as well, and in the end theirs again.
    reset = urllib.request.Request(f"http://{host}:{port}/moto-api/reset", method="POST")
    urllib.request.urlopen(reset).close()
    client = boto3.client("s3")
    client.create_bucket(Bucket="lake", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    yield client
    connection.close()
    urllib.request.urlopen(reset).close()
    stand_in.stop()


@pytest.fixture
def put(s3):
    def write(key, *documents):
        content = "".join(one if isinstance(one, str) else json.dumps(one) + "\n" for one in documents).encode()
        s3.put_object(Bucket="lake", Key=key, Body=gzip.compress(content) if key.endswith(".gz") else content)

    return write


@pytest.fixture
def load():
    table = loaded_object()._meta.db_table
    if table in connection.introspection.table_names():
        loaded_object()._base_manager.using("default").all().delete()

    def run(*arguments, source="s3://lake/hits/"):
        out = StringIO()
        call_command("load_firehose", source, "--database=default", "--allow-bad", "--json", *arguments, stdout=out)
        return json.loads(out.getvalue())

    return run


def event(number, **columns):
    known = {"_model": "warehouse.event", "customer_no": 1, "event_id": str(uuid.UUID(int=number))}
    return {**known, "at": NOON.isoformat(), "made": NOON.isoformat(), "path": str(number), **columns}


def counts(report):
    return report["loaded"], report["rows"], report["duplicates"]


def paths():
    return sorted(Event.objects.values_list("path", flat=True), key=int)


def keys(s3):
    return [found["Key"] for found in s3.list_objects_v2(Bucket="lake").get("Contents", ())]


def test_what_a_sink_writes_is_what_is_stored(put, load, s3):
    """Every type, by COPY; nothing is left in S3 but what was there."""
    told = Event(
        customer_no=2**40,
        at=NOON,
        day=NOON.date(),
        clock=NOON.time(),
        path="é\"\\'\n\t",
        length=dt.timedelta(days=1, microseconds=7),
        share=0.1,
        paid=Decimal("123456789.0123456789"),
        seen=True,
        data={"a": [1, None, "é"]},
    )
    line = line_of(record_of(told)).decode()
    put("hits/2026/a.gz", line)
    assert counts(load()) == (1, 1, 0)
    found = Event.objects.get()
    for field in Event._meta.concrete_fields:
        if field.name != "id":
            assert getattr(found, field.attname) == json_time(line, field, told), field.name
    assert found.pk
    assert keys(s3) == ["hits/2026/a.gz"]


def json_time(line, field, told):
    """The value that was sent: ``auto_now_add`` is that of collecting."""
    return dt.datetime.fromisoformat(json.loads(line)["made"]) if field.name == "made" else getattr(told, field.attname)


def test_objects_and_events_are_loaded_once(put, load):
    put("hits/a", *map(event, range(1, 1_101)), event(1))
    put("hits/b.gz", event(1_100), event(1_101), event(1_101, customer_no=2))
    assert counts(load()) == (2, 1_102, 2)
    report = load()
    assert (counts(report), report["known"]) == ((0, 0, 0), 2)
    assert Event.objects.count() == 1_102
    put("hits/c", event(1, path="7"))
    assert counts(load()) == (1, 0, 1)
    assert Event.objects.get(event_id=uuid.UUID(int=1)).path == "1"


def test_bad_lines_are_named_and_their_object_waits_or_they_are_rejected(put, load, s3):
    put("hits/a.gz", event(1), "{\n", event(2, path="x" * 21), event(3, path="\x00"), event(4))
    put("hits/b", event(5))
    put("hits/processing-failed/2026/x", {"errorCode": "E", "rawData": ""})
    report = load()
    assert [(line["name"], line["line"]) for line in report["bad_lines"]] == [
        ("s3://lake/hits/a.gz", n) for n in (2, 3, 4)
    ]
    assert (counts(report), paths(), len(report["failed"])) == ((1, 1, 0), ["5"], 1)
    report = load("--rejects=s3://lake/rejects")
    assert (counts(report), report["rejected"], paths()) == ((1, 2, 0), 3, ["1", "4", "5"])
    (kept,) = [key for key in keys(s3) if key.startswith("rejects/lake/a.")]
    assert s3.get_object(Bucket="lake", Key=kept)["Body"].read().startswith(b"{\n")
    assert len(keys(s3)) == 4


def test_what_copy_alone_refuses_is_a_bad_line_of_its_object(put, load):
    """A column that is narrower in the table than in the model: COPY names the line of its file."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE warehouse_event RENAME COLUMN path TO wide")
        cursor.execute("ALTER TABLE warehouse_event ADD COLUMN path varchar(4) DEFAULT '' NOT NULL")
        cursor.execute("ALTER TABLE warehouse_event DROP COLUMN wide")
    try:
        put("hits/a", event(1), event(1), event(22_222), event(3), event(44_444))
        report = load()
        ((line,), (waits,)) = report["bad_lines"], report["bad_objects"]
        assert (line["line"], waits["name"]) == (3, "s3://lake/hits/a")
        assert "'path' was refused by COPY" in line["reason"]
        assert not Event.objects.exists()
        report = load("--rejects=s3://lake/rejects")
        assert (counts(report), report["rejected"], paths()) == ((1, 2, 1), 2, ["1", "3"])
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE warehouse_event RENAME COLUMN path TO narrow")
            cursor.execute("ALTER TABLE warehouse_event ADD COLUMN path varchar(80) DEFAULT '' NOT NULL")
            cursor.execute("ALTER TABLE warehouse_event DROP COLUMN narrow")


@pytest.mark.parametrize("at", ["MERGE", 'INSERT INTO "horizon_loaded_object"'])
def test_a_crash_in_the_middle_leaves_nothing_and_the_next_run_is_exact(put, load, s3, at):
    """The rows and the mark of their object are one transaction; what was on its way in S3 is cleaned up."""
    put("hits/a", event(1), event(2))
    load(source="s3://lake/nothing/")

    def die(execute, sql, params, many, context):
        result = execute(sql, params, many, context)
        if sql.startswith(at):
            raise KeyboardInterrupt
        return result

    with connection.execute_wrapper(die), pytest.raises(KeyboardInterrupt):
        load()
    connection.close()
    assert not Event.objects.exists()
    assert counts(load()) == (1, 2, 0)
    digest = loaded_object()._base_manager.using("default").get(bucket="lake").digest
    s3.put_object(Bucket="lake", Key=f"horizon-loading/{digest}-0.json.gz", Body=b"left by a loader that was killed")
    assert load()["known"] == 1
    assert keys(s3) == ["hits/a"]


def test_a_dry_run_writes_nothing(put, load, s3):
    put("hits/a", event(1), event(2), event(2))
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE IF EXISTS {loaded_object()._meta.db_table}")
    assert counts(load("--dry-run")) == (1, 2, 1)
    assert loaded_object()._meta.db_table not in connection.introspection.table_names()
    assert (keys(s3), Event.objects.exists()) == (["hits/a"], False)


def test_what_copy_cannot_do_is_said(tmp_path, put, load):
    with pytest.raises(CommandError, match="COPY reads from S3 alone"):
        load(source=str(tmp_path))
    put("hits/a", event(1))
    with pytest.raises(CommandError, match="has no field event_id"):
        load("--into=warehouse.Event=warehouse.Customer")
    with pytest.raises(CommandError, match="no unique constraint with event_id"):
        load("--into=warehouse.Event=warehouse.Loose")


def test_files_are_merged(put):
    """Rows that are there are updated, others inserted; what MERGE cannot know is refused, and nothing is loaded."""
    Customer.objects.bulk_create([Customer(pk=1, name="Ann")])
    put("c/1", {"id": 1, "name": "Anna", "country": "FR"}, {"id": 2, "name": "Bob", "country": "DE"})
    assert merge_from_s3(Customer, "s3://lake/c/1", update=["name"]) == (2, 1)
    rows = [(1, "Anna", "DE"), (2, "Bob", "DE")]
    assert [*Customer.objects.order_by("pk").values_list("pk", "name", "country")] == rows
    put("c/2", {"id": 3, "name": "Cy", "country": "DE"}, {"id": 3, "name": "Di", "country": "DE"})
    with pytest.raises(ValueError, match=r"Two rows for warehouse.Customer have the same id"):
        merge_from_s3(Customer, "s3://lake/c/2")
    put("c/3", {"id": 3, "name": None, "country": "DE"})
    with pytest.raises(CopyFailed, match="name"):
        merge_from_s3(Customer, "s3://lake/c/3")
    assert [*Customer.objects.order_by("pk").values_list("pk", "name", "country")] == rows


def test_a_row_keeps_its_distribution_key(put):
    ann, bob = Customer.objects.bulk_create([Customer(name="Ann"), Customer(name="Bob")])
    visit = Visit.objects.create(customer=ann, at=NOON)
    columns = {field.column: None for field in Visit._meta.concrete_fields}
    plain = {"at": NOON.isoformat(), "path": "", "note": "", "pages": 1, "seen": True, "token": visit.token.hex}
    row = {**columns, **plain, "id": visit.pk, "raw": "", "data": {}}
    put("v/1", {**row, "customer_id": bob.pk})
    with pytest.raises(ValueError, match="customer, its distribution key"):
        merge_from_s3(Visit, "s3://lake/v/1")
    put("v/2", {**row, "customer_id": ann.pk})
    assert merge_from_s3(Visit, "s3://lake/v/2", update=["pages"]) == (1, 1)
    assert Visit.objects.get().pages == 1
