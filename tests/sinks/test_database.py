"""DatabaseSink and BatchedDatabaseSink: rows of any alias, sharded too, each event once."""

from __future__ import annotations

import datetime
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.db.models import F
from django.db.models.functions import Now

from horizon_shards import using_shard
from horizon_shards.exceptions import InvalidShardKey, RecordRefused, SinkError
from horizon_shards.signals import records_rejected
from horizon_shards.sinks import BatchedDatabaseSink, DatabaseSink, Record, lifetime, record_of
from horizon_shards.sinks.lines import line_of, record_of_line
from horizon_shards.topology import get_group
from tests.shop.models import Site
from tests.sinks.models import Hit, Note

pytestmark = pytest.mark.django_db(databases=["default", "track", "directory"])
in_threads = pytest.mark.django_db(databases=["default", "track", "directory"], transaction=True)


@pytest.fixture
def site() -> Site:
    return Site.objects.create(name="s")


def hit(site: Site, **fields: Any) -> Hit:
    """With values of every kind that a line has to bring back as they were."""
    values = {
        "path": "/é",
        "price": Decimal("1234567890.0123456789"),
        "took": datetime.timedelta(days=2, microseconds=7),
        "extra": {"a": [1, None, "x"]},
        "day": datetime.date(2026, 1, 2),
    }
    return Hit(site=site, **{**values, **fields})


def test_a_record_is_stored_when_it_is_put(site: Site) -> None:
    made = hit(site)
    DatabaseSink().put(made)
    assert Hit.objects.get(site=site).event_id == made.event_id


def test_a_sharded_row_is_on_the_shard_that_its_record_names(site: Site) -> None:
    made = record_of(hit(site))
    DatabaseSink().put(made)
    assert made.shard in get_group("track").shard_names
    with using_shard(made.shard):
        assert Hit.objects.filter(event_id=made.event_id).count() == 1


def test_a_line_brings_back_every_value(site: Site) -> None:
    made = hit(site)
    back = record_of_line(line_of(record_of(made))).instance()
    for field in Hit._meta.concrete_fields:
        assert getattr(back, field.attname) == getattr(made, field.attname), field.name


def test_the_standard_library_writes_what_orjson_writes(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    record = record_of(hit(site))
    fast = record_of_line(line_of(record))
    monkeypatch.setattr("horizon_shards.sinks.lines.orjson", None)
    assert record_of_line(line_of(record)) == fast


def test_a_record_has_what_saving_would_set(site: Site) -> None:
    made = record_of(hit(site))
    assert made.columns["seen"] is not None
    assert isinstance(made.columns["id"], int)
    assert made.columns["day_of"] == datetime.date(2026, 1, 2)
    assert made.event_id == str(made.columns["event_id"])


def test_a_model_without_event_ids_gets_one_that_its_rows_do_not_have(site: Site) -> None:
    made = record_of(Site(name="other"))
    assert uuid.UUID(made.event_id)
    DatabaseSink().put(made)
    assert Site.objects.filter(name="other").count() == 1


@pytest.mark.parametrize("value", [Now(), F("text")])
def test_what_a_database_would_have_to_compute_is_refused(value: Any) -> None:
    with pytest.raises(RecordRefused, match="text is an expression"):
        record_of(Note(text=value))


def test_a_record_without_a_shard_key_is_refused() -> None:
    with pytest.raises(InvalidShardKey):
        record_of(Hit(id=1, path="/"))


def test_a_doubled_event_raises_or_is_passed_over(site: Site) -> None:
    made = hit(site)
    DatabaseSink().put(made)
    with pytest.raises(IntegrityError), transaction.atomic(using="track"):
        DatabaseSink().put(hit(site, event_id=made.event_id))
    skipping = DatabaseSink(options={"ON_DUPLICATE": "skip"})
    skipping.put(hit(site, event_id=made.event_id))
    skipping.put_many([hit(site, event_id=made.event_id), hit(site)])
    assert Hit.objects.filter(site=site).count() == 2


def test_what_another_constraint_refuses_is_not_passed_over() -> None:
    sink = DatabaseSink(options={"ON_DUPLICATE": "skip"})
    sink.put(Note(text="a"))
    with pytest.raises(IntegrityError):
        sink.put(Note(text="a"))


@pytest.mark.django_db(databases=["default", "oracle"])
def test_an_alias_can_be_named() -> None:
    with pytest.raises(AssertionError, match="crm"):
        DatabaseSink(options={"USING": "crm_a"}).put(Note(text="a"))
    DatabaseSink(options={"USING": "default"}).put(Note(text="a"))
    assert Note.objects.using("default").count() == 1


@pytest.fixture
def batched(settings: Any) -> Any:
    """Makes batched sinks, whose thread closes its connections."""
    made: list[BatchedDatabaseSink] = []

    def make(**options: Any) -> BatchedDatabaseSink:
        made.append(BatchedDatabaseSink("test", {"LINGER_SECONDS": 3600, **options}))
        return made[-1]

    yield make
    for sink in made:
        lifetime.forget(sink)
        sink._ending = True


@in_threads
def test_rows_are_stored_in_batches(batched: Any, site: Site, django_assert_num_queries: Any) -> None:
    sink = batched(BATCH_RECORDS=1000)
    sink.put_many(hit(site, path=f"/{n}") for n in range(50))
    assert Hit.objects.filter(site=site).count() == 0
    sink.flush()
    assert Hit.objects.filter(site=site).count() == 50


@in_threads
def test_of_a_batch_that_is_refused_the_good_rows_are_stored(batched: Any, tmp_path: Path) -> None:
    told: list[bytes] = []

    def listen(lines: list[bytes], **kwargs: object) -> None:
        told.extend(lines)

    sink = batched(SPILL_FOLDER=tmp_path)
    records_rejected.connect(listen, sender=sink)
    sink.put_many([Note(text="a"), Note(text="b"), Note(text="a"), Note(text="c")])
    with pytest.raises(SinkError, match="rejected 1 records"):
        sink.flush()
    assert sorted(Note.objects.values_list("text", flat=True)) == ["a", "b", "c"]
    assert [path.read_bytes() for path in (tmp_path / "rejected").iterdir()] == told
    assert len(told) == 1
    sink.flush()


@in_threads
def test_a_batch_that_comes_twice_is_stored_once(batched: Any, site: Site) -> None:
    sink, made = batched(ON_DUPLICATE="skip"), [hit(site) for _ in range(5)]
    records = [record_of(instance) for instance in made]
    for _ in range(2):
        sink.put_many(records)
        sink.flush()
    assert Hit.objects.filter(site=site).count() == 5


@in_threads
def test_a_record_of_columns_is_stored_like_an_instance(batched: Any) -> None:
    for sink in (batched(), DatabaseSink()):
        event = uuid.uuid4()
        sink.put(Record("sinks.note", {"event_id": event, "text": str(sink)[:20]}, str(event)))
        sink.flush()
        assert Note.objects.filter(event_id=event).exists()
