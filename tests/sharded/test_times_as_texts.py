"""Times that an engine has cut off, where a text is made of them."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest
from django.db.models import CharField, Max, Subquery, Value
from django.db.models.functions import Concat, TruncMonth, TruncSecond

from tests.shop.models import Account, Visit

pytestmark = pytest.mark.django_db(databases=["default", "track"])
TIME = datetime(2024, 2, 29, 12, 30, tzinfo=timezone.utc)


def test_a_time_that_is_cut_off_is_the_text_that_one_database_makes_of_it(spread: list[Visit]) -> None:
    """MySQL writes a fraction of 0 behind the seconds of a column, and none behind those that it has cut off."""
    Visit.objects.update(at=TIME)
    Account.objects.create(email="a")
    for cut in (TruncMonth("at"), TruncSecond("at"), Max("at")):
        source = Max(cut) if not isinstance(cut, Max) else cut
        text = Concat(source, Value("!"), output_field=CharField())
        one = Visit.objects.filter(site=spread[0].site_id).aggregate(text=text)
        assert Visit.objects.aggregate(text=text) == one
    first = Visit.objects.filter(pk=spread[0].pk).annotate(cut=TruncMonth("at")).values("cut")
    shown = Concat(Subquery(first), Value("!"), output_field=CharField())
    assert (
        Account.objects.values_list(shown, flat=True)[0]
        == Visit.objects.filter(pk=spread[0].pk).values_list(
            Concat(TruncMonth("at"), Value("!"), output_field=CharField()), flat=True
        )[0]
    )
