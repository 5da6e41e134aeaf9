"""Conditions on a composite foreign key and through it."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import FieldError
from django.db.models import Count, Exists, OuterRef, Q

from horizon_shards.exceptions import QueryNotSupported
from tests.composite.models import Clerk, Coat, Desk, Drawer, Folder, Key, Loan, Offer, Price, Sheet, Sign, Text

pytestmark = pytest.mark.django_db(databases="__all__")


def names(queryset: Any) -> list[str]:
    return sorted(queryset.values_list("name", flat=True))


@pytest.mark.parametrize("name", ["desk", "desk__exact", "desk_fk"])
def test_exact_takes_an_instance_or_a_tuple(clerks: list[Clerk], desks: list[Desk], name: str) -> None:
    assert names(Clerk.objects.filter(**{name: desks[2]})) == ["at 2/1"]
    assert names(Clerk.objects.filter(**{name: (2, 1)})) == ["at 2/1"]
    assert names(Clerk.objects.filter(**{name: [2, "1"]})) == ["at 2/1"]
    assert names(Clerk.objects.filter(**{name: (2, None)})) == []
    assert names(Clerk.objects.filter(**{name: None})) == ["nowhere"]


def test_exclude_finds_rows_without_a_relation(clerks: list[Clerk], desks: list[Desk]) -> None:
    assert names(Clerk.objects.exclude(desk=desks[2])) == ["at 1/1", "at 1/2", "at 2/2", "nowhere"]
    assert names(Clerk.objects.exclude(desk__in=[(1, 1), (1, 2)])) == ["at 2/1", "at 2/2", "nowhere"]
    assert names(Clerk.objects.exclude(desk__in=Desk.objects.filter(branch=1))) == ["at 2/1", "at 2/2", "nowhere"]
    assert names(Clerk.objects.filter(~Q(desk__gt=(1, 1)))) == ["at 1/1", "nowhere"]
    assert names(Clerk.objects.exclude(desk__name="1/1")) == ["at 1/2", "at 2/1", "at 2/2", "nowhere"]
    assert names(Clerk.objects.exclude(desk=None)) == ["at 1/1", "at 1/2", "at 2/1", "at 2/2"]
    assert len(Clerk.objects.exclude(desk=(2, None))) == 5
    assert len(Clerk.objects.exclude(desk__in=[])) == 5


def test_in_takes_instances_tuples_and_querysets(clerks: list[Clerk], desks: list[Desk]) -> None:
    assert names(Clerk.objects.filter(desk__in=desks[:2])) == ["at 1/1", "at 1/2"]
    assert names(Clerk.objects.filter(desk__in=[(1, 1), desks[3], None, (1, None)])) == ["at 1/1", "at 2/2"]
    assert names(Clerk.objects.filter(desk__in=iter([(1, 1)]))) == ["at 1/1"]
    assert names(Clerk.objects.filter(desk__in=[])) == []
    assert names(Clerk.objects.filter(desk__in=Desk.objects.filter(number=2))) == ["at 1/2", "at 2/2"]
    pairs = Desk.objects.filter(branch=2).values_list("branch", "number")
    assert names(Clerk.objects.filter(desk__in=pairs)) == ["at 2/1", "at 2/2"]
    assert names(Clerk.objects.filter(desk__in=Desk.objects.none())) == []


def test_order_isnull_and_fields_of_the_related_row(clerks: list[Clerk]) -> None:
    assert names(Clerk.objects.filter(desk__gte=(1, 2))) == ["at 1/2", "at 2/1", "at 2/2"]
    assert names(Clerk.objects.filter(desk__lt=(2, 1))) == ["at 1/1", "at 1/2"]
    assert names(Clerk.objects.filter(desk__isnull=True)) == ["nowhere"]
    assert len(Clerk.objects.filter(desk__isnull=False)) == 4
    assert names(Clerk.objects.filter(desk__name="2/2")) == ["at 2/2"]
    assert names(Clerk.objects.filter(desk__number=2)) == ["at 1/2", "at 2/2"]
    seated = Clerk.objects.exclude(desk=None).order_by("-desk__name")
    assert list(seated.values_list("desk__name", flat=True)) == ["2/2", "2/1", "1/2", "1/1"]


def test_the_related_columns_need_no_join(clerks: list[Clerk]) -> None:
    for queryset in (Clerk.objects.filter(desk=(1, 1)), Clerk.objects.filter(desk__number=2)):
        assert "JOIN" not in str(queryset.using("oracle").query)


def test_lookups_from_the_far_side(clerks: list[Clerk], desks: list[Desk]) -> None:
    assert names(Desk.objects.filter(clerks=clerks[1])) == ["1/2"]
    assert names(Desk.objects.filter(clerks__in=clerks[2:])) == ["2/1", "2/2"]
    assert names(Desk.objects.filter(clerks__name="at 2/2")) == ["2/2"]
    clerks[0].delete()
    assert names(Desk.objects.filter(clerks=None)) == ["1/1"]
    assert list(Desk.objects.order_by("name").annotate(n=Count("clerks")).values_list("n", flat=True)) == [0, 1, 1, 1]


def test_exclude_through_the_far_side_compares_all_columns(clerks: list[Clerk]) -> None:
    """Django ties the rows by the first column alone, which would leave out all of branch 1."""
    assert names(Desk.objects.exclude(clerks__name="at 1/1")) == ["1/2", "2/1", "2/2"]
    assert names(Desk.objects.exclude(clerks=clerks[3])) == ["1/1", "1/2", "2/1"]
    assert names(Desk.objects.exclude(Q(clerks__name="at 1/1") | Q(name="2/2"))) == ["1/2", "2/1"]
    assert names(Desk.objects.filter(branch=1).exclude(clerks__name__in=["at 1/1", "at 2/2"])) == ["1/2"]


def test_exclude_from_further_away_is_right_or_refused(desks: list[Desk]) -> None:
    drawers = [Drawer.objects.create(desk=desk) for desk in desks[:2]]
    Key.objects.create(drawer=drawers[0])
    assert names(Desk.objects.exclude(drawers__key__isnull=False)) == ["1/2", "2/1", "2/2"]
    with pytest.raises(QueryNotSupported, match="exclude"):
        list(Desk.objects.exclude(drawers__key__isnull=True))
    other = Key.objects.create(drawer=drawers[1])
    Clerk.objects.create(desk=desks[0], name="x")
    with pytest.raises(QueryNotSupported, match="Exists"):
        list(Clerk.objects.exclude(desk__drawers__key=other))


def test_exists_with_an_outer_ref_for_each_column(clerks: list[Clerk]) -> None:
    inner = Clerk.objects.filter(branch=OuterRef("branch"), desk_number=OuterRef("number"), name="at 1/1")
    assert names(Desk.objects.filter(~Exists(inner))) == ["1/2", "2/1", "2/2"]


def test_partly_null_keys(desks: list[Desk]) -> None:
    for branch, number in [(1, 1), (1, None), (None, 1), (None, None)]:
        Loan.objects.create(branch=branch, number=number)
    assert Loan.objects.filter(desk=None).count() == 3
    assert Loan.objects.filter(desk__isnull=False).count() == 1
    assert Loan.objects.exclude(desk=desks[0]).count() == 3
    assert Loan.objects.exclude(desk=desks[1]).count() == 4
    assert Loan.objects.filter(desk__branch=1).count() == 1
    assert Loan.objects.exclude(desk__in=desks).count() == 3


def test_a_value_that_means_null(desks: list[Desk]) -> None:
    zero = Desk.objects.create(branch=1, number=0, name="1/0")
    for number in (1, 0):
        Coat.objects.create(branch=1, desk_number=number)
    assert Coat.objects.filter(desk=None).get().desk_number == 0
    assert Coat.objects.filter(desk__isnull=False).get().desk_number == 1
    assert not Coat.objects.filter(desk=zero)
    assert not Coat.objects.filter(desk=(1, 0))
    assert Coat.objects.exclude(desk=zero).count() == 2
    assert not Coat.objects.filter(desk__name="1/0")
    assert not Coat.objects.filter(desk__number=0)
    assert names(Desk.objects.filter(coats__isnull=False)) == ["1/1"]
    assert "1/0" in names(Desk.objects.exclude(coats__branch=1))


def test_raw_parts(oracle: None) -> None:
    alpha, base = (Price.objects.create(kind=kind, code=1, amount=len(kind)) for kind in ("alpha", "base"))
    offer = Offer.objects.create(code=1)
    for condition in ({"price": alpha}, {"price__in": [alpha, base]}, {"price": (1,)}, {"price__amount": 5}):
        assert Offer.objects.get(**condition) == offer, condition
    for condition in ({"price": base}, {"price__in": [base]}, {"price__amount": 4}, {"price": (2,)}):
        assert not Offer.objects.filter(**condition), condition
    assert not Offer.objects.filter(price__in=Price.objects.filter(kind="base"))
    assert Offer.objects.filter(price__in=Price.objects.all()).get() == offer
    assert Price.objects.get(offers=offer) == alpha
    assert Price.objects.exclude(offers=offer).get() == base
    assert Offer.objects.exclude(price=base).get() == offer


def test_computed_parts(oracle: None, language: Any) -> None:
    texts = {code: Text.objects.create(label=1, language=code, words=code) for code in ("en", "de")}
    sign = Sign.objects.create(label=1)
    for code, other in (("de", "en"), ("en", "de")):
        language(code)
        for condition in ({"text": texts[code]}, {"text__in": [*texts.values()]}, {"text": (1,)}):
            assert Sign.objects.get(**condition) == sign, condition
        for condition in ({"text": texts[other]}, {"text__in": [texts[other]]}, {"text__words": other}):
            assert not Sign.objects.filter(**condition), condition
        assert Sign.objects.exclude(text=texts[other]).get() == sign
        assert Text.objects.get(signs=sign) == texts[code]
        assert Text.objects.exclude(signs=sign).get() == texts[other]


def test_a_composite_primary_key(oracle: None) -> None:
    folders = [Folder.objects.create(branch=1, number=n, name=f"{n}") for n in (1, 2)]
    Sheet.objects.create(folder=folders[0], page=1)
    assert Folder.objects.exclude(sheets__page=1).get() == folders[1]
    assert Sheet.objects.filter(folder__in=Folder.objects.filter(name="1")).count() == 1
    assert Folder.objects.get(sheets__page=1) == folders[0]


def test_what_is_no_key_is_refused(clerks: list[Clerk], desks: list[Desk]) -> None:
    for value in (5, (1,), (1, 2, 3), "ab"):
        with pytest.raises(ValueError, match=r"tuple of \(branch, number\)"):
            Clerk.objects.filter(desk=value)
    with pytest.raises(ValueError, match="must be saved"):
        Clerk.objects.filter(desk=Desk())
    with pytest.raises(ValueError, match='Must be "Desk" instance'):
        Clerk.objects.filter(desk=clerks[0])
    with pytest.raises(FieldError):
        Clerk.objects.update(desk=desks[0])
