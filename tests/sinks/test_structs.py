"""struct_view: a plain view by msgspec, into whatever sink the settings name."""

from __future__ import annotations

import json
import uuid
from typing import Any

import msgspec
import pytest
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory

from horizon_shards.contrib.structs import struct_view
from horizon_shards.exceptions import SinkFull
from horizon_shards.sinks import DatabaseSink, Record, sink_of
from tests.sinks.models import Note

pytestmark = pytest.mark.django_db


class Report(msgspec.Struct):
    text: str
    event_id: uuid.UUID


def make(request: HttpRequest, report: Report) -> Record:
    columns = {"event_id": report.event_id, "text": report.text}
    return Record("sinks.note", columns, str(report.event_id))


def post(content: Any, **options: Any) -> HttpResponse:
    view = struct_view(Report, make, **{"sink": lambda: sink_of(Note), "max_bytes": 1_000, **options})
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return view(RequestFactory().post("/", body, content_type="application/json"))


def report(text: str) -> dict[str, str]:
    return {"text": text, "event_id": str(uuid.uuid4())}


def test_one_arrives(collected: Any) -> None:
    assert post(report("a")).status_code == 204
    assert [row["text"] for row in collected(Note)] == ["a"]


def test_a_list_arrives(collected: Any) -> None:
    assert post([report("a"), report("b")]).status_code == 204
    assert {row["text"] for row in collected(Note)} == {"a", "b"}


@pytest.mark.parametrize(
    ("content", "status", "message"),
    [
        (b"{", 400, "truncated"),
        ({"text": 1, "event_id": str(uuid.uuid4())}, 400, "Expected `str`, got `int`"),
        ([{"text": "a"}], 400, "missing required field `event_id`"),
        (b"x" * 1_001, 413, "larger than 1000 bytes"),
    ],
)
def test_what_is_no_report_is_told(content: Any, status: int, message: str, collected: Any) -> None:
    answer = post(content)
    assert answer.status_code == status
    assert message in json.loads(answer.content)["error"]
    assert collected(Note) == []


def test_a_list_with_an_invalid_report_leaves_nothing(collected: Any) -> None:
    assert post([report("a"), {"text": "b"}]).status_code == 400
    assert collected(Note) == []


def test_a_sink_that_takes_nothing_is_a_503_that_says_when_to_come_back() -> None:
    class Full(DatabaseSink):
        def put(self, record: Any) -> None:
            raise SinkFull("full of secrets")

    answer = post(report("a"), sink=Full)
    assert (answer.status_code, answer["Retry-After"]) == (503, "5")
    assert b"secrets" not in answer.content


def test_only_posts_are_taken() -> None:
    assert struct_view(Report, make, sink=DatabaseSink)(RequestFactory().get("/")).status_code == 405
