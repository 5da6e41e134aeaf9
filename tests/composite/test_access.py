"""Following a composite foreign key, setting it, and both prefetches."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db.models import Prefetch

from tests.composite.models import Badge, Clerk, Coat, Desk, Folder, Loan, Offer, Price, Sheet, Sign, Text

pytestmark = pytest.mark.django_db(databases="__all__")


def test_key_attribute_is_the_tuple_of_the_columns(clerks: list[Clerk]) -> None:
    assert clerks[0].desk_fk == (1, 1)
    assert clerks[4].desk_fk is None
    clerks[4].desk_fk = (2, 1)
    assert (clerks[4].branch, clerks[4].desk_number) == (2, 1)
    with pytest.raises(ValueError, match="has 2 columns"):
        clerks[4].desk_fk = (1,)


def test_forward_access_is_one_query_and_then_none(clerks: list[Clerk], django_assert_num_queries: Any) -> None:
    clerk = Clerk.objects.get(pk=clerks[1].pk)
    with django_assert_num_queries(1, using="oracle"):
        assert clerk.desk.name == "1/2"
    with django_assert_num_queries(0, using="oracle"):
        assert clerk.desk.name == "1/2"
        assert Clerk.objects.model(branch=1).desk is None


def test_a_changed_column_is_followed(clerks: list[Clerk], desks: list[Desk]) -> None:
    clerk = Clerk.objects.select_related("desk").get(pk=clerks[0].pk)
    clerk.desk_number = 2
    assert clerk.desk == desks[1]
    clerk.desk_number = None
    assert clerk.desk is None
    clerk.desk_number = 1
    assert clerk.desk == desks[0]


def test_refresh_forgets_the_instance(clerks: list[Clerk], desks: list[Desk]) -> None:
    clerk = Clerk.objects.get(pk=clerks[0].pk)
    assert clerk.desk == desks[0]
    Clerk.objects.filter(pk=clerk.pk).update(branch=2)
    clerk.refresh_from_db()
    assert clerk.desk == desks[2]


def test_setting_copies_the_columns_and_none_leaves_what_cannot_be_null(desks: list[Desk]) -> None:
    clerk = Clerk(desk=desks[3], name="new")
    assert (clerk.branch, clerk.desk_number) == (2, 2)
    clerk.desk = None
    assert (clerk.branch, clerk.desk_number, clerk.desk) == (2, None, None)


def test_what_cannot_be_set(desks: list[Desk], oracle: None) -> None:
    with pytest.raises(ValueError, match="without number: save it first"):
        Clerk(desk=Desk(branch=1))
    with pytest.raises(ValueError, match='must be a "Desk" instance'):
        Clerk(desk=Price())
    with pytest.raises(ValueError, match=r"Badge\.desk cannot be None"):
        Badge(desk=desks[0]).desk = None
    with pytest.raises(ValueError, match="cannot be the price of a Offer"):
        Offer(price=Price(code=1, kind="base"))


def test_select_related_joins_by_all_columns(clerks: list[Clerk], django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(1, using="oracle"):
        found = Clerk.objects.select_related("desk").order_by("pk")
        assert [clerk.desk and clerk.desk.name for clerk in found] == ["1/1", "1/2", "2/1", "2/2", None]


def test_select_related_with_deferred_columns_asks_nothing_more(
    clerks: list[Clerk], django_assert_num_queries: Any
) -> None:
    with django_assert_num_queries(1, using="oracle"):
        found = Clerk.objects.select_related("desk").only("name", "desk__name").order_by("pk")
        assert [clerk.desk and clerk.desk.name for clerk in found] == ["1/1", "1/2", "2/1", "2/2", None]


def test_forward_prefetch(clerks: list[Clerk], django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(2, using="oracle"):
        found = Clerk.objects.prefetch_related("desk").order_by("pk")
        assert [clerk.desk and clerk.desk.name for clerk in found] == ["1/1", "1/2", "2/1", "2/2", None]
    named = Clerk.objects.prefetch_related(Prefetch("desk", Desk.objects.filter(name="2/1"))).order_by("pk")
    assert [clerk._state.fields_cache["desk"] and clerk.desk.name for clerk in named] == [None, None, "2/1", None, None]


def test_reverse_manager_and_prefetch(clerks: list[Clerk], desks: list[Desk], django_assert_num_queries: Any) -> None:
    assert list(desks[2].clerks.all()) == [clerks[2]]
    assert desks[2].clerks.filter(name="at 1/1").count() == 0
    with django_assert_num_queries(2, using="oracle"):
        found = Desk.objects.prefetch_related("clerks").order_by("pk")
        assert [[clerk.name for clerk in desk.clerks.all()] for desk in found] == [
            ["at 1/1"], ["at 1/2"], ["at 2/1"], ["at 2/2"],
        ]  # fmt: skip
        assert all(clerk.desk == desk for desk in found for clerk in desk.clerks.all())


def test_reverse_manager_writes_columns(clerks: list[Clerk], desks: list[Desk]) -> None:
    made = desks[0].clerks.create(name="made")
    assert (made.branch, made.desk_number) == (1, 1)
    desks[1].clerks.add(made, clerks[4])
    assert set(desks[1].clerks.all()) == {clerks[1], made, clerks[4]}
    desks[1].clerks.remove(made)
    made.refresh_from_db()
    assert (made.branch, made.desk_number) == (1, None)
    desks[1].clerks.set([clerks[4]])
    assert set(desks[1].clerks.all()) == {clerks[4]}
    desks[1].clerks.clear()
    desks[0].clerks.clear(bulk=False)
    assert not Clerk.objects.filter(branch=1).exclude(desk=None)
    assert desks[2].clerks.get_or_create(name="at 2/1") == (clerks[2], False)
    desks[0].clerks.add(Clerk(name="unsaved"), bulk=False)
    assert desks[0].clerks.get().name == "unsaved"
    with pytest.raises(ValueError, match="isn't saved"):
        desks[0].clerks.add(Clerk(name="unsaved"))
    with pytest.raises(Desk.DoesNotExist):
        desks[3].clerks.remove(clerks[2])


def test_bulk_create_pickle_and_copy(desks: list[Desk]) -> None:
    Clerk.objects.bulk_create([Clerk(desk=desk, name="bulk") for desk in desks])
    clerk = Clerk.objects.select_related("desk").order_by("pk")[2]
    for twin in (pickle.loads(pickle.dumps(clerk)), copy.deepcopy(clerk)):
        assert twin.desk == desks[2]


def test_one_to_one(desks: list[Desk], django_assert_num_queries: Any) -> None:
    badge = Badge.objects.create(desk=desks[1])
    assert Desk.objects.get(pk=desks[1].pk).badge == badge
    with pytest.raises(Badge.DoesNotExist):
        Desk.objects.get(pk=desks[0].pk).badge  # noqa: B018
    found = Desk.objects.select_related("badge").order_by("pk")
    assert [hasattr(desk, "badge") for desk in found] == [False, True, False, False]
    with django_assert_num_queries(2, using="oracle"):
        found = Desk.objects.prefetch_related("badge").order_by("pk")
        assert [hasattr(desk, "badge") for desk in found] == [False, True, False, False]
    with pytest.raises(ValidationError, match="already exists"):
        Badge(desk=desks[1]).full_clean()
    Badge(desk=desks[0]).full_clean()


def test_a_partly_null_key_is_no_relation(desks: list[Desk]) -> None:
    loans = [Loan.objects.create(branch=b, number=n) for b, n in [(1, 1), (1, None), (None, 1), (None, None)]]
    assert [Loan.objects.get(pk=loan.pk).desk for loan in loans] == [desks[0], None, None, None]
    assert [loan.desk for loan in Loan.objects.prefetch_related("desk").order_by("pk")] == [desks[0], None, None, None]
    assert [loan.desk for loan in Loan.objects.select_related("desk").order_by("pk")] == [desks[0], None, None, None]
    assert list(desks[0].loans.all()) == loans[:1]


def test_a_value_that_means_null(desks: list[Desk]) -> None:
    zero = Desk.objects.create(branch=1, number=0, name="1/0")
    coats = [Coat.objects.create(branch=1, desk_number=number) for number in (1, 0)]
    assert [Coat.objects.get(pk=coat.pk).desk for coat in coats] == [desks[0], None]
    for queryset in (Coat.objects.prefetch_related("desk"), Coat.objects.select_related("desk")):
        assert [coat.desk for coat in queryset.order_by("pk")] == [desks[0], None]
    assert coats[1].desk_fk is None
    assert list(zero.coats.all()) == []
    assert [desk.coats.count() for desk in Desk.objects.filter(branch=1).prefetch_related("coats").order_by("pk")] == [
        1,
        0,
        0,
    ]
    coats[0].desk = None
    assert coats[0].desk_number == 0


def test_raw_parts_count_on_every_way(oracle: None) -> None:
    alpha, base = (Price.objects.create(kind=kind, code=1, amount=5) for kind in ("alpha", "base"))
    offer = Offer.objects.create(code=1)
    assert Offer.objects.get(pk=offer.pk).price == alpha
    assert Offer.objects.select_related("price").get().price == alpha
    assert Offer.objects.prefetch_related("price").get().price == alpha
    assert (list(alpha.offers.all()), list(base.offers.all())) == ([offer], [])
    prices = Price.objects.prefetch_related("offers").order_by("kind")
    assert [list(price.offers.all()) for price in prices] == [[offer], []]


def test_function_parts_are_asked_each_time(oracle: None, language: Any) -> None:
    texts = {code: Text.objects.create(label=1, language=code, words=code) for code in ("en", "de")}
    sign = Sign.objects.create(label=1)
    for code in ("de", "en"):
        language(code)
        assert Sign.objects.get(pk=sign.pk).text == texts[code]
        assert Sign.objects.select_related("text").get().text == texts[code]
        assert Sign.objects.prefetch_related("text").get().text == texts[code]
        assert Sign.objects.get(text__words=code) == sign
        assert [list(text.signs.all()) for text in Text.objects.filter(language="de")] == [[sign] * (code == "de")]


def test_relation_to_a_composite_primary_key(oracle: None, django_assert_num_queries: Any) -> None:
    folders = [Folder.objects.create(branch=b, number=1, name=f"{b}") for b in (1, 2)]
    sheets = [Sheet.objects.create(folder=folder) for folder in folders]
    assert Sheet.objects.get(pk=sheets[1].pk).folder == folders[1]
    assert list(folders[0].sheets.all()) == sheets[:1]
    with django_assert_num_queries(1, using="oracle"):
        assert [sheet.folder.name for sheet in Sheet.objects.select_related("folder").order_by("pk")] == ["1", "2"]
    with django_assert_num_queries(2, using="oracle"):
        assert [list(f.sheets.all()) for f in Folder.objects.prefetch_related("sheets").order_by("branch")] == [
            sheets[:1],
            sheets[1:],
        ]
    assert list(Sheet.objects.filter(folder__in=folders[1:])) == sheets[1:]
    assert list(Sheet.objects.filter(folder=folders[0])) == sheets[:1]
    assert folders[0].delete() == (2, {"composite.Folder": 1, "composite.Sheet": 1})


def test_full_clean_looks_for_the_row(desks: list[Desk]) -> None:
    Clerk(branch=2, desk_number=2, name="x").full_clean()
    Clerk(branch=2, name="x").full_clean()
    with pytest.raises(ValidationError, match=r"desk instance with \(branch, number\) \(2, 7\) does not exist"):
        Clerk(branch=2, desk_number=7, name="x").full_clean()
    with pytest.raises(ValidationError, match="cannot be null"):
        Badge(branch=2).full_clean()
