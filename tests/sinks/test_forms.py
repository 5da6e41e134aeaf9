"""SinkModelForm: the same class saves into the database or into Firehose, by settings alone."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.db import connection

from horizon_shards.exceptions import RecordRefused
from horizon_shards.sinks import SinkModelForm, record_of, sink_of
from tests.shop.models import Basket, Site, Tag
from tests.sinks.models import Hit, Note

pytestmark = pytest.mark.django_db(databases=["default", "track", "directory"])


class NoteForm(SinkModelForm):
    class Meta:
        model = Note
        fields = ["event_id", "text"]


class HitForm(SinkModelForm):
    class Meta:
        model = Hit
        fields = ["site", "path", "event_id"]


class BasketForm(SinkModelForm):
    class Meta:
        model = Basket
        fields = ["site", "tags"]


def note(text: str = "a") -> NoteForm:
    return NoteForm({"event_id": str(uuid.uuid4()), "text": text})


def test_a_valid_form_arrives(collected: Any) -> None:
    form = note()
    saved = form.save()
    (row,) = collected(Note)
    assert (row["text"], str(row["event_id"])) == ("a", str(saved.event_id))


def test_a_sharded_row_arrives_with_its_id(collected: Any) -> None:
    site = Site.objects.create(name="s")
    saved = HitForm({"site": site.pk, "path": "/", "event_id": str(uuid.uuid4())}).save()
    (row,) = collected(Hit)
    assert (row["id"], row["site_id"], row["path"]) == (saved.pk, site.pk, "/")


@pytest.mark.usefixtures("road")
def test_errors_are_those_of_django() -> None:
    form = note("x" * 21)
    assert form.errors == {"text": ["Ensure this value has at most 20 characters (it has 21)."]}
    with pytest.raises(ValueError, match="could not be created because the data didn't validate"):
        form.save()


def test_uniqueness_is_asked_for_on_the_way_to_the_database_alone(
    road: str, django_assert_num_queries: Any, collected: Any
) -> None:
    Note.objects.create(text="a")
    form = note("a")
    if road == "database":
        assert form.errors == {"text": ["Note with this Text already exists."]}
        return
    with django_assert_num_queries(0, connection=connection):
        assert form.is_valid()
        form.save()
    assert len(collected(Note)) == 1


def test_without_commit_nothing_is_put(collected: Any) -> None:
    form = note()
    form.save(commit=False)
    assert collected(Note) == []


def test_a_stored_row_is_changed_by_a_database_alone(road: str) -> None:
    stored = Note.objects.create(text="a")
    form = NoteForm({"event_id": str(stored.event_id), "text": "b"}, instance=stored)
    if road == "firehose":
        with pytest.raises(RecordRefused, match="stored already"):
            form.save()
        return
    form.save()
    assert Note.objects.get().text == "b"


def test_many_to_many_rows_need_a_database(road: str) -> None:
    site = Site.objects.create(name="s")
    form = BasketForm({"site": site.pk, "tags": [Tag.objects.create(site=site, name="t").pk]})
    if road == "database":
        form.save()
        assert Basket.objects.get(site=site).tags.count() == 1
        return
    with pytest.raises(RecordRefused, match="many-to-many"):
        form.save()


def test_a_form_whose_data_came_twice_is_told_by_its_event_id(road: str, collected: Any) -> None:
    if road == "database":
        return
    form = note()
    made = record_of(form.save(commit=False))
    for _ in range(2):
        sink_of(Note).put(made)
    assert {row["event_id"] for row in collected(Note)} == {made.event_id}
