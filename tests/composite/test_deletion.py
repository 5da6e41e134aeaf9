"""Every ``on_delete`` on a composite foreign key."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db.models import ProtectedError, RestrictedError
from django.db.models.signals import post_delete

from tests.composite.models import (
    Badge,
    Chair,
    Clerk,
    Coat,
    Desk,
    Drawer,
    Key,
    Lamp,
    Loan,
    Offer,
    Phone,
    Price,
    Printer,
    Safe,
    Sign,
    Text,
)

pytestmark = pytest.mark.django_db(databases="__all__")


@pytest.fixture
def deleted() -> Iterator[list[Any]]:
    """The instances that were deleted one by one."""
    found: list[Any] = []

    def note(instance: Any, **kwargs: Any) -> None:
        found.append(instance)

    post_delete.connect(note)
    yield found
    post_delete.disconnect(note)


def test_cascade(desks: list[Desk]) -> None:
    drawers = [Drawer.objects.create(desk=desk) for desk in desks]
    Key.objects.create(drawer=drawers[0])
    Badge.objects.create(desk=desks[0])
    assert desks[0].delete()[1] == {
        "composite.Desk": 1, "composite.Drawer": 1, "composite.Key": 1, "composite.Badge": 1,
    }  # fmt: skip
    assert list(Drawer.objects.order_by("pk")) == drawers[1:]
    assert Desk.objects.filter(branch=2).delete()[1] == {"composite.Desk": 2, "composite.Drawer": 2}
    assert list(Drawer.objects.all()) == [drawers[1]]


def test_cascade_of_a_nullable_relation_spares_rows_without_one(desks: list[Desk], deleted: list[Any]) -> None:
    Desk.objects.create(branch=1, number=0, name="1/0")
    for number in (0, 1, 2):
        Coat.objects.create(branch=1, desk_number=number)
    desks[0].delete()
    Desk.objects.get(number=0).delete()
    assert sorted(Coat.objects.values_list("desk_number", flat=True)) == [0, 2]
    assert [instance.desk_number for instance in deleted if isinstance(instance, Coat)] == [1]


def test_cascade_spares_rows_of_another_raw_part(oracle: None) -> None:
    alpha, base = (Price.objects.create(kind=kind, code=1, amount=5) for kind in ("alpha", "base"))
    Offer.objects.create(code=1)
    base.delete()
    assert Offer.objects.count() == 1
    alpha.delete()
    assert Offer.objects.count() == 0


def test_cascade_spares_rows_of_another_computed_part(oracle: None, language: Any) -> None:
    texts = {code: Text.objects.create(label=1, language=code, words=code) for code in ("en", "de", "fr")}
    Sign.objects.create(label=1)
    texts["de"].delete()
    assert Sign.objects.count() == 1
    language("fr")
    assert Text.objects.filter(language="en").delete() == (1, {"composite.Text": 1})
    texts["fr"].delete()
    assert Sign.objects.count() == 0


def test_set_null_writes_only_what_can_be_null(clerks: list[Clerk], desks: list[Desk]) -> None:
    assert desks[0].delete() == (1, {"composite.Desk": 1})
    Desk.objects.filter(branch=2).delete()
    found = Clerk.objects.order_by("pk").values_list("branch", "desk_number")
    assert list(found) == [(1, None), (1, 2), (2, None), (2, None), (1, None)]


def test_set_null_of_several_columns_is_one_update(desks: list[Desk], django_assert_num_queries: Any) -> None:
    for desk in desks:
        Loan.objects.create(desk=desk)
    desks[0].delete()
    assert sorted(Loan.objects.values_list("branch", "number"), key=str) == [(1, 2), (2, 1), (2, 2), (None, None)]


def test_set_default_writes_columns_that_have_a_default(desks: list[Desk]) -> None:
    phones = [Phone.objects.create(desk=desk) for desk in desks]
    desks[3].delete()
    assert [phone.pk for phone in Phone.objects.filter(branch=2, desk_number=0)] == [phones[3].pk]
    assert Phone.objects.exclude(desk_number=0).count() == 3


def test_set_takes_an_instance(desks: list[Desk]) -> None:
    printers = [Printer.objects.create(desk=desk) for desk in desks]
    desks[3].delete()
    assert Printer.objects.get(pk=printers[3].pk).desk == desks[0]
    assert Printer.objects.get(pk=printers[2].pk).desk == desks[2]


def test_protect(desks: list[Desk]) -> None:
    safe = Safe.objects.create(desk=desks[0])
    with pytest.raises(ProtectedError) as raised:
        desks[0].delete()
    assert raised.value.protected_objects == {safe}
    desks[1].delete()


def test_restrict(desks: list[Desk], clerks: list[Clerk]) -> None:
    chair = Chair.objects.create(desk=desks[0], clerk=clerks[1])
    with pytest.raises(RestrictedError) as raised:
        desks[0].delete()
    assert raised.value.restricted_objects == {chair}
    clerks[1].delete()
    desks[0].delete()


def test_do_nothing(desks: list[Desk]) -> None:
    Lamp.objects.create(desk=desks[0])
    desks[0].delete()
    with pytest.raises(Desk.DoesNotExist):
        Lamp.objects.get().desk  # noqa: B018
