"""JSON that a subquery gave is shown and stored, and compared with nothing."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import DataError, IntegrityError
from django.db.models import (
    CharField,
    Count,
    Exists,
    F,
    JSONField,
    OuterRef,
    Subquery,
    Value,
)
from django.db.models.functions import Cast, Coalesce

from horizon_shards.exceptions import QueryNotSupported
from tests.sharded.rows import JSON
from tests.shop.models import Visit

pytestmark = pytest.mark.django_db(databases=["default", "track", "crm"])


@pytest.mark.parametrize("name", JSON)
def test_json_of_rows_elsewhere_is_compared_with_nothing(one: Any, name: str) -> None:
    """Django writes literals of JSON otherwise than a subquery: none equals what the column has."""
    there, here = one
    Visit.objects.update(extra=JSON["extra"])
    value = Subquery(there.values(name))
    found = here.annotate(x=value)
    refused = [
        here.filter(**{f"{name}__in": there.values(name)}),
        here.filter(Exists(there.filter(**{name: OuterRef(name)}))),
        here.filter(**{name: there.values(name)[:1]}),
        here.filter(**{f"{name}__in": [value]}),
        here.exclude(**{f"{name}__gt": value}),
        found.filter(x={}),
        found.filter(x__a__0=1),
        found.annotate(y=Coalesce("x", "extra")),
        found.annotate(y=Cast("x", CharField())),
        found.values("path").annotate(y=Count("x")),
    ]
    for query in refused:
        with pytest.raises(QueryNotSupported, match="pass them as a list"):
            list(query)
    for query in (found, found.distinct()):
        with pytest.raises(QueryNotSupported, match="pass them as a list"):
            query.aggregate(n=Count("x"))


@pytest.mark.parametrize("value", [True, 1, "x", None, [1], {"a": None}])
def test_json_of_rows_elsewhere_is_shown_and_stored(one: Any, value: Any) -> None:
    """JSON's null is none of SQL's, though Python shows both as None."""
    there, here = one
    there.update(extra=Value(value, JSONField()))
    column = Subquery(there.values("extra"))
    found = here.annotate(x=column)
    assert found.get().x == value
    assert not found.filter(x__isnull=True).exists()
    assert here.annotate(x=Subquery(there.annotate(y=F("extra")).values("y"))).get().x == value
    here.update(extra=column)
    assert here.filter(extra__isnull=False).get().extra == value
    with pytest.raises(QueryNotSupported, match="of a plain column"):
        here.update(extra=Subquery(there.values("extra__a")))


@pytest.mark.parametrize("name", JSON)
def test_no_json_is_null(one: Any, name: str) -> None:
    """Of a field of JSON, a value of None would be JSON's null."""
    there, here = one
    found = here.annotate(x=Subquery(there.filter(path="nothing").values(name)))
    assert found.get().x is None
    if name == "extra":
        assert found.filter(x__isnull=True).exists()
        with pytest.raises((IntegrityError, DataError)):  # MySQL says that NULL as JSON is cut off
            here.update(extra=Subquery(there.filter(path="nothing").values(name)))
