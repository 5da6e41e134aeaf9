"""One value of rows elsewhere, compared with what is of another kind."""

from __future__ import annotations

import pytest
from django.db.models import Subquery
from django.db.models.functions import Length

from horizon_shards.exceptions import QueryNotSupported
from tests.settings import ENGINE
from tests.shop.models import Account, Visit

pytestmark = pytest.mark.django_db(databases=["default", "track"])


@pytest.mark.skipif(ENGINE == "postgresql", reason="compares no values of different types")
@pytest.mark.parametrize("column", ["at__gt", "at__date", "visitor__joined__lte", "extra__a"])
def test_no_text_or_number_is_a_time_or_json(spread: list[Visit], column: str) -> None:
    """MySQL compares them as they come, and raises for a literal that is neither."""
    Account.objects.create(email="no time")
    for values in (Account.objects.values("email"), Account.objects.annotate(n=Length("email")).values("n")):
        with pytest.raises(QueryNotSupported):
            list(Visit.objects.filter(**{column: Subquery(values[:1])}))


def test_a_text_is_no_pattern_of_iexact(spread: list[Visit]) -> None:
    """SQLite and MySQL take what a subquery gives for one, but Django's literal not."""
    Account.objects.create(email="_X")
    Visit.objects.filter(pk=spread[0].pk).update(path="_x")
    visits = Visit.objects.filter(path__iexact=Subquery(Account.objects.values("email")[:1]))
    if ENGINE == "postgresql":
        assert visits.get() == spread[0]
    else:
        with pytest.raises(QueryNotSupported):
            list(visits)
