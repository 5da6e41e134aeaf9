"""Objects become rows: each object and each event once, all of an object or nothing of it."""

from __future__ import annotations

import datetime as dt
import json
import os
import signal
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection

from horizon_shards.loading.ledger import loaded_object
from horizon_shards.sinks.lines import line_of
from horizon_shards.sinks.record import Record, record_of
from tests.loading import worker
from tests.loading.conftest import Load, Put, counts, event, stored
from tests.servers.firehose import Faults, InThread
from tests.sinks.conftest import MakeSink
from tests.sinks.models import Note, StoredHit


def test_records_are_rows_however_they_are_joined_and_packed(put: Put, load: Load) -> None:
    kinds = [(between, end) for between in ("\n", "", " \r\n\n") for end in ("", ".gz")]
    for kind, (between, end) in enumerate(kinds):
        put(f"2026/03/01/12/s-{kind}{end}", *(event(kind * 1_000 + n) for n in range(601)), between=between)
    assert counts(load()) == (6, 6 * 601, 0)
    assert stored() == sorted(kind * 1_000 + n for kind in range(6) for n in range(601))


def test_what_a_sink_writes_is_what_is_stored(put: Put, load: Load) -> None:
    """Types, times of collecting, and every column."""
    hit = StoredHit(
        pk=2**62,
        site_id=7,
        path="/é\n\"'",
        price=Decimal("1234.0123456789"),
        took=dt.timedelta(days=1, microseconds=7),
        extra={"a": [1, None, {"b": "c"}]},
        day=dt.date(2026, 3, 1),
        raw=b"\x00\xff",
    )
    line = line_of(record_of(hit)).decode()
    put("a", line)
    assert counts(load(into=False)) == (1, 1, 0)
    found = StoredHit.objects.get()
    for field in StoredHit._meta.concrete_fields:
        assert getattr(found, field.attname) == getattr(hit, field.attname), field.name


def test_an_object_is_loaded_once_and_an_event_too(put: Put, load: Load, django_assert_max_num_queries: Any) -> None:
    first = put("a", event(1), event(2), event(1))
    put("b", event(2), event(3))
    assert counts(load()) == (2, 3, 2)
    report = load()
    assert (counts(report), report["known"]) == ((0, 0, 0), 2)
    StoredHit.objects.all().delete()
    assert load()["known"] == 2
    assert stored() == []
    first.write_text(json.dumps(event(1)) + json.dumps(event(4)))
    os.utime(first, (1, 1))
    assert counts(load()) == (1, 2, 0)


def test_the_same_event_of_another_site_is_another_event(put: Put, load: Load) -> None:
    one = str(uuid.uuid4())
    put("a", event(1, event_id=one), event(2, event_id=one, site_id=2), event(3, event_id=one.replace("-", "")))
    assert counts(load()) == (1, 2, 1)
    assert stored() == [1, 2]


BAD = [
    ("{", "is no JSON"),
    ('{"a": NaN}', "is no JSON"),
    ("[1]", "is no JSON object"),
    ("[" * 100_000, "is no JSON"),
    ({"path": "/"}, "has no _model"),
    ({"_model": "nobody"}, "which is no model"),
    (event(9, _model="shop.visit"), "does not live on 'default'"),
    (event(9, more=1), "'more', which is no column"),
    ({name: value for name, value in event(9).items() if name != "path"}, "has no 'path'"),
    ({name: value for name, value in event(9).items() if name != "event_id"}, "'event_id'"),
    (event(9, event_id=None), "'event_id' is null"),
    (event(9, event_id="x"), "'event_id' does not fit"),
    (event(9, path=None), "'path' is null"),
    (event(9, path="x" * 101), "101 characters"),
    (event(9, path=["/"]), "list is no CharField"),
    (event(9, site_id="a"), "'site_id' does not fit"),
    (event(9, site_id=1.5), "no whole number"),
    (event(9, site_id=2**31), "not between"),
    (event(9, price="1.01234567891"), "decimal places"),
    (event(9, seen="2026-03-01T12:00:00"), "no time zone"),
    (event(9, seen="yesterday"), "'seen' does not fit"),
    (event(9, day_of="2026-02-30"), "'day_of' does not fit"),
    (event(9, took="long"), "'took' does not fit"),
    (event(9, raw="*"), "'raw' does not fit"),
]


def test_a_bad_line_is_named_and_its_object_waits(put: Put, load: Load) -> None:
    """Nothing of the object is loaded, the others are; when the lines are cured, all of it."""
    paths = [put(f"a{n:02}", event(100 + n), bad, event(200 + n)) for n, (bad, _) in enumerate(BAD)]
    put("b", event(3))
    for _ in range(2):
        report = load()
        assert [(line["name"], line["line"]) for line in report["bad_lines"]] == [(str(path), 2) for path in paths]
        for line, (_, reason) in zip(report["bad_lines"], BAD, strict=True):
            assert reason in line["reason"]
        assert [one["name"] for one in report["bad_objects"]] == [str(path) for path in paths]
        assert stored() == [3]
    with pytest.raises(CommandError, match=f"{len(BAD)} bad lines, {len(BAD)} objects not loaded, 0 failed deliveries"):
        load("--json")
    for n in range(len(BAD)):
        put(f"a{n:02}", event(100 + n), event(200 + n))
    assert counts(load()) == (len(BAD), 2 * len(BAD), 0)


def test_a_line_that_is_no_text_is_named(put: Put, load: Load) -> None:
    put("a").write_bytes(b'{"a": "\xff"}\n')
    assert "is no UTF-8" in load()["bad_lines"][0]["reason"]


def test_bad_lines_go_where_they_are_told_and_can_be_loaded_from_there(put: Put, load: Load, tmp_path: Path) -> None:
    put("2026/a.gz", event(1), event(2, path=None), "{", event(3), between="\n")
    rejects = tmp_path / "bucket" / "rejects"
    report = load(f"--rejects={rejects}")
    assert (counts(report), report["rejected"], stored()) == ((1, 2, 0), 2, [1, 3])
    assert [line["line"] for line in report["bad_lines"]] == [2, 3]
    (kept,) = [path for path in rejects.rglob("*") if path.is_file()]
    assert kept.read_text() == json.dumps(event(2, path=None)) + "\n{\n"
    report = load(f"--rejects={rejects}")
    assert (counts(report), report["known"], report["bad_lines"]) == ((0, 0, 0), 1, [])
    kept.write_text(json.dumps(event(2)))
    assert counts(load(folder="bucket/rejects")) == (1, 1, 0)
    assert stored() == [1, 2, 3]


def test_objects_that_are_not_what_their_name_says_wait(put: Put, load: Load) -> None:
    put("a.gz").write_bytes(json.dumps(event(1)).encode())
    cut = put("b.gz", *map(event, range(1_000)))
    cut.write_bytes(cut.read_bytes()[:-20])
    put("c.gz").write_bytes(b"")
    put("d", event(1))
    report = load()
    assert [Path(one["name"]).name for one in report["bad_objects"]] == ["a.gz", "b.gz", "c.gz"]
    assert ["no gzip" in one["reason"] or "broken gzip" in one["reason"] for one in report["bad_objects"]] == [True] * 3
    assert stored() == [1]
    put("a.gz", event(2))
    assert counts(load()) == (1, 1, 0)


def test_what_firehose_could_not_deliver_is_told_and_not_loaded(put: Put, load: Load) -> None:
    failed = {"attemptsMade": 4, "errorCode": "Lambda.FunctionError", "rawData": "eyJ9"}
    put("processing-failed/2026/03/01/12/s-1-a", failed, failed)
    put("errors/manifests/2026/m", {"entries": [{"url": "s3://b/a", "mandatory": True}]})
    put("a", event(1))
    report = load()
    assert (counts(report), stored()) == ((1, 1, 0), [1])
    told = {Path(one["name"]).name: one["reason"] for one in report["failed"]}
    assert told["s-1-a"] == "2 records that Firehose could not process, not loaded (Lambda.FunctionError: 2)."
    assert told["m"].startswith("a manifest of 1 objects")
    with pytest.raises(CommandError, match="2 failed deliveries"):
        load("--json")


def test_what_only_the_database_refuses_is_a_bad_line(put: Put, load: Load, tmp_path: Path) -> None:
    Note.objects.create(text="taken")
    note = {"_model": "sinks.note", "event_id": str(uuid.uuid4()), "text": "taken"}
    put("a", {**note, "text": "free", "event_id": str(uuid.uuid4())}, note)
    report = load()
    assert "refused by the database" in report["bad_lines"][0]["reason"]
    assert (report["bad_lines"][0]["line"], Note.objects.count()) == (2, 1)
    assert counts(load(f"--rejects={tmp_path / 'rejects'}")) == (1, 1, 0)
    assert set(Note.objects.values_list("text", flat=True)) == {"taken", "free"}


def test_a_dry_run_tells_what_would_be_loaded_and_writes_nothing(put: Put, load: Load) -> None:
    put("a", event(1), event(2))
    put("b", event(2), event(3))
    put("c", event(4), "{")
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE IF EXISTS {loaded_object()._meta.db_table}")
    tried = load("--dry-run")
    assert (counts(tried), len(tried["bad_lines"]), stored()) == ((2, 3, 1), 1, [])
    assert loaded_object()._meta.db_table not in connection.introspection.table_names()
    assert load() == tried
    again = load("--dry-run")
    assert (counts(again), again["known"]) == ((0, 0, 0), 2)


def test_an_error_of_the_database_stops_and_what_was_loaded_stays(put: Put, load: Load, capsys: Any) -> None:
    put("a", event(1))
    put("b", event(2))
    load("--dry-run")

    def fail(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith("INSERT INTO") and "sinks_storedhit" in sql and 2 in params:
            raise OperationalError("gone")
        return execute(sql, params, many, context)

    with connection.execute_wrapper(fail), pytest.raises(CommandError, match="run it again: gone"):
        load()
    assert stored() == [1]
    report = load()
    assert (counts(report), report["known"]) == ((1, 1, 0), 1)


def test_killed_in_the_middle_and_run_again_by_two_at_once_it_is_exact(put: Put, tmp_path: Path) -> None:
    """Of ten objects the third was half written at the kill; the same events are in two objects each."""
    for number in range(10):
        put(f"{number}.gz", *(event(number // 2 * 1_000 + n) for n in range(1_000)), folder="objects")
    assert worker.start(tmp_path, kill_at=1_300).wait(300) == -signal.SIGKILL
    assert worker.state(tmp_path) == (1_000, 1_000, 2)
    both = [worker.start(tmp_path) for _ in range(2)]
    assert [process.wait(300) for process in both] == [0, 0]
    assert worker.state(tmp_path) == (5_000, 5_000, 10)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--database=nowhere"], "no database 'nowhere'"),
        (["--database=track"], "logical database"),
        (["--into=sinks.Hit"], "write MODEL=MODEL"),
        (["--into=sinks.Hit=sinks.Nothing"], "is no model"),
        (["--into=sinks.Hit=shop.Visit"], "does not live on 'default'"),
        (["--into=sinks.Hit=shop.Site"], "has no field event_id"),
        (["--batch-rows=0"], "at least 1"),
        (["--rejects=ftp://x"], "s3://bucket/prefix"),
        (["--rejects=/"], "/nowhere lies in /"),
    ],
)
def test_what_cannot_work_is_said_before_anything_is_read(arguments: list[str], says: str) -> None:
    given = arguments if any(one.startswith("--database") for one in arguments) else ["--database=default", *arguments]
    with pytest.raises(CommandError, match=says):
        call_command("load_firehose", "/nowhere", *given)


def test_a_folder_that_is_not_there_is_an_error(load: Load) -> None:
    with pytest.raises(CommandError, match="is no folder"):
        load(folder="nothing")


def test_through_a_firehose_with_faults_nothing_is_lost_or_doubled(
    load: Load, tmp_path: Path, server: InThread, make_sink: MakeSink
) -> None:
    """Records that fail, calls that are throttled, and answers that are lost, so that lines arrive twice."""
    server.firehose.faults = Faults(fail_every=10, throttle_every=20, unanswered_every=7)
    sink = make_sink(STREAM="hits-{shard}", SPILL_FOLDER=str(tmp_path / "spill"))
    for number in range(3_000):
        columns = event(number, event_id=str(uuid.UUID(int=number)))
        del columns["_model"]
        sink.put(Record("sinks.hit", columns, columns["event_id"], "ab"[number % 2]))
        if number % 200 == 199:  # thirty calls and those that are repeated
            sink.flush(120)
    sent = len(server.firehose.events())
    for key, content in server.firehose.objects():
        (tmp_path / "bucket" / key).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "bucket" / key).write_bytes(content)
    report = load()
    assert (report["rows"], report["duplicates"]) == (3_000, sent - 3_000)
    assert sent > 3_000
    assert stored() == list(range(3_000))
