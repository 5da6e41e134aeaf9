"""Composite foreign keys in serializers of Django REST framework."""

from __future__ import annotations

from typing import Any

import pytest

from tests.composite.models import Clerk, Desk

rest = pytest.importorskip("rest_framework.serializers", reason="Django REST framework is not installed")

pytestmark = pytest.mark.django_db(databases="__all__")


def serializer_of(model_class: Any, names: Any, **declared: Any) -> Any:
    """A ``ModelSerializer`` class."""
    meta = type("Meta", (), {"model": model_class, "fields": names})
    return type("Made", (rest.ModelSerializer,), {"Meta": meta, **declared})


def test_all_fields_are_the_columns(clerks: list[Clerk], desks: list[Desk]) -> None:
    made = serializer_of(Clerk, "__all__")
    assert set(made(clerks[1]).data) == {"id", "branch", "desk_number", "name"}
    given = made(data={"branch": 2, "desk_number": 1, "name": "new"})
    assert given.is_valid(), given.errors
    assert given.save().desk == desks[2]


def test_the_related_row_is_nested(clerks: list[Clerk]) -> None:
    desk = serializer_of(Desk, ["branch", "number", "name"])
    made = serializer_of(Clerk, ["name", "desk"], desk=desk(read_only=True))
    assert made(clerks[1]).data == {"name": "at 1/2", "desk": {"branch": 1, "number": 2, "name": "1/2"}}
    assert made(clerks[4]).data == {"name": "nowhere", "desk": None}


def test_the_rows_that_refer_to_one_are_nested(clerks: list[Clerk], desks: list[Desk]) -> None:
    made = serializer_of(Desk, ["name", "clerks"], clerks=serializer_of(Clerk, ["name"])(many=True, read_only=True))
    assert made(desks[3]).data == {"name": "2/2", "clerks": [{"name": "at 2/2"}]}
