"""SinkModelSerializer: one and many, into the database or into Firehose, by settings alone."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.db import connection

from horizon_shards.contrib.rest import SinkListSerializer, SinkModelSerializer
from horizon_shards.exceptions import RecordRefused
from tests.shop.models import Site
from tests.sinks.models import Hit, Note

pytestmark = pytest.mark.django_db(databases=["default", "track", "directory"])


class NoteSerializer(SinkModelSerializer):
    class Meta:
        model = Note
        fields = ["event_id", "text"]


class HitSerializer(SinkModelSerializer):
    class Meta:
        model = Hit
        fields = ["id", "site", "path", "event_id"]


def notes(*texts: str) -> list[dict[str, str]]:
    return [{"event_id": str(uuid.uuid4()), "text": text} for text in texts]


def save(serializer: Any) -> Any:
    serializer.is_valid(raise_exception=True)
    return serializer.save()


def test_one_arrives(collected: Any) -> None:
    (data,) = notes("a")
    serializer = NoteSerializer(data=data)
    save(serializer)
    assert serializer.data == data
    assert [row["text"] for row in collected(Note)] == ["a"]


def test_many_arrive_together(collected: Any) -> None:
    serializer = NoteSerializer(data=notes(*map(str, range(30))), many=True)
    assert type(serializer) is SinkListSerializer
    assert len(save(serializer)) == 30
    assert {row["text"] for row in collected(Note)} == set(map(str, range(30)))


def test_many_sharded_rows_arrive_with_their_ids(collected: Any) -> None:
    sites = [Site.objects.create(name=str(n)) for n in range(5)]
    data = [{"site": site.pk, "path": "/", "event_id": str(uuid.uuid4())} for site in sites]
    saved = save(HitSerializer(data=data, many=True))
    assert {(row["id"], row["site_id"]) for row in collected(Hit)} == {(hit.pk, hit.site_id) for hit in saved}


@pytest.mark.usefixtures("road")
def test_errors_are_those_of_the_framework() -> None:
    bad = notes("x" * 21)
    for serializer in (NoteSerializer(data=bad[0]), NoteSerializer(data=notes("a") + bad, many=True)):
        assert not serializer.is_valid()
        assert "Ensure this field has no more than 20 characters." in str(serializer.errors)


def test_uniqueness_is_asked_for_on_the_way_to_the_database_alone(road: str, django_assert_num_queries: Any) -> None:
    Note.objects.create(text="a")
    serializer = NoteSerializer(data=notes("a")[0])
    if road == "database":
        assert not serializer.is_valid()
        assert serializer.errors["text"][0].code == "unique"
        return
    with django_assert_num_queries(0, connection=connection):
        save(serializer)


def test_a_constraint_over_fields_is_asked_for_on_the_way_to_the_database_alone(road: str) -> None:
    site = Site.objects.create(name="s")
    stored = Hit.objects.create(site=site, path="/")
    serializer = HitSerializer(data={"site": site.pk, "path": "/", "event_id": str(stored.event_id)})
    assert serializer.is_valid() == (road == "firehose")


def test_a_stored_row_is_changed_by_a_database_alone(road: str) -> None:
    stored = Note.objects.create(text="a")
    serializer = NoteSerializer(stored, data={"text": "b"}, partial=True)
    if road == "firehose":
        with pytest.raises(RecordRefused, match="stored already"):
            save(serializer)
        return
    assert save(serializer).text == "b"


def test_a_serializer_may_have_a_list_of_its_own() -> None:
    from rest_framework.serializers import ListSerializer

    class Plain(SinkModelSerializer):
        class Meta:
            model = Note
            fields = ["text"]
            list_serializer_class = ListSerializer

    assert type(Plain(many=True)) is ListSerializer
