"""Relations between sharded models that nothing keeps on one shard."""

from __future__ import annotations

from typing import Any

import pytest
from django.db.models import Count, F, Q

from horizon_shards import allow_federation, using_shard
from horizon_shards.exceptions import QueryNotSupported
from horizon_shards.topology import get_group
from tests.settings import ENGINE
from tests.shop.models import Account, Club, Label, Membership, Order, Site

pytestmark = pytest.mark.django_db(databases=["default", "track"])


@pytest.fixture
def accounts(db: None) -> list[Account]:
    """Accounts, each with an order of its own."""
    accounts = [Account.objects.create(email=f"{n}@example.org") for n in range(12)]
    for number, account in enumerate(accounts):
        Order.objects.create(account=account, amount=number)
    return accounts


@pytest.fixture
def clubs(sites: list[Site], accounts: list[Account]) -> list[Club]:
    """Twelve clubs: club n has the accounts 0 to n - 1 as members, and account n as its founder; the last has none."""
    clubs = [
        Club.objects.create(site=site, name=f"club {number}", founder=account)
        for number, (site, account) in enumerate(zip(sites, accounts, strict=True))
    ]
    for number, club in enumerate(clubs):
        for account in accounts[:number]:
            Membership.objects.create(site=club.site, club=club, account=account)
    Club.objects.filter(pk=clubs[-1].pk).update(founder=None)
    return clubs


def test_members_of_other_shards(clubs: list[Club], accounts: list[Account]) -> None:
    assert set(clubs[7].members.all()) == set(accounts[:7])
    assert clubs[7].members.count() == 7
    assert [account.email for account in clubs[7].members.order_by("email")[1:3]] == ["1@example.org", "2@example.org"]
    assert set(clubs[7].members.filter(orders__amount__gte=5)) == set(accounts[5:7])
    assert set(accounts[9].clubs.all()) == set(clubs[10:])
    assert not clubs[0].members.exists()


def test_conditions_through_the_table_between(clubs: list[Club], accounts: list[Account]) -> None:
    assert set(Club.objects.filter(members=accounts[10])) == {clubs[11]}
    assert set(Club.objects.filter(members__email="9@example.org")) == set(clubs[10:])
    assert set(Account.objects.filter(clubs__name="club 2")) == set(accounts[:2])
    assert set(Account.objects.exclude(clubs__name="club 11")) == {accounts[11]}
    assert set(Club.objects.filter(members=None)) == {clubs[0]}
    assert Club.objects.filter(members__email__startswith="1").distinct().count() == 10


def test_prefetching(clubs: list[Club], accounts: list[Account], django_assert_max_num_queries: Any) -> None:
    with django_assert_max_num_queries(3 * 4 * 2, using="track"):
        found = {club.name: set(club.members.all()) for club in Club.objects.prefetch_related("members")}
    assert found == {f"club {n}": set(accounts[:n]) for n in range(12)}
    back = {account.email: len(account.clubs.all()) for account in Account.objects.prefetch_related("clubs")}
    assert back == {f"{n}@example.org": 11 - n for n in range(12)}


def test_adding_and_removing_members(clubs: list[Club], accounts: list[Account]) -> None:
    site = {"site": clubs[0].site}
    clubs[0].members.add(*accounts[:3], through_defaults=site)
    assert set(clubs[0].members.all()) == set(accounts[:3])
    clubs[0].members.remove(accounts[0])
    clubs[0].members.set(accounts[2:4], through_defaults=site)
    assert set(clubs[0].members.all()) == set(accounts[2:4])
    clubs[0].members.clear()
    assert Membership.objects.filter(club=clubs[0]).count() == 0


def test_select_related(clubs: list[Club], accounts: list[Account], django_assert_max_num_queries: Any) -> None:
    shards = len(get_group("track").shard_names)
    with django_assert_max_num_queries(2 * shards, using="track"):
        found = {club.name: club.founder for club in Club.objects.select_related("founder")}
    assert found == {f"club {n}": account for n, account in enumerate(accounts[:-1])} | {"club 11": None}
    one = Membership.objects.filter(site=clubs[3].site).select_related("club__founder", "account", "site")
    assert {(m.club.name, m.club.founder, m.site) for m in one} == {("club 3", accounts[3], clubs[3].site)}
    assert {membership.account for membership in one} == set(accounts[:3])
    ordered = Club.objects.select_related("founder").order_by("-name")
    assert [club.founder for club in ordered[10:]] == [accounts[1], accounts[0]]
    assert ordered.get(name="club 4").founder == accounts[4]


def test_select_related_beside_a_condition_on_the_other_rows(clubs: list[Club], accounts: list[Account]) -> None:
    some = Club.objects.filter(founder__email__in=["4@example.org", "5@example.org"]).select_related("founder")
    assert {club.founder for club in some} == set(accounts[4:6])
    assert {club.mail for club in some.annotate(mail=F("founder__email"))} == {"4@example.org", "5@example.org"}
    assert set(Club.objects.filter(Q(founder__email="4@example.org") | Q(name="club 1"))) == {clubs[1], clubs[4]}
    ordered = Club.objects.exclude(founder=None).order_by("founder__email", "pk")
    assert next(iter(ordered.values_list("founder__email", flat=True)[:1])) == "0@example.org"


def test_columns_of_the_other_rows(clubs: list[Club], accounts: list[Account]) -> None:
    mails = dict(Club.objects.values_list("name", "founder__email"))
    assert mails == {f"club {n}": f"{n}@example.org" for n in range(11)} | {"club 11": None}
    rows = Membership.objects.filter(club__name="club 2").values_list("account__email", flat=True)
    assert sorted(rows) == ["0@example.org", "1@example.org"]
    with pytest.raises(QueryNotSupported, match=r"shop\.Account"):
        list(Membership.objects.values("account__email").annotate(n=Count("pk")))


def test_a_pinned_shard_joins_what_it_has(clubs: list[Club]) -> None:
    for shard in get_group("track").shard_names:
        with using_shard(shard):
            for club in Club.objects.exclude(founder=None).select_related("founder"):
                assert club.founder is None or club.founder.pk == club.founder_id


def test_columns_of_different_types_are_not_joined_here(clubs: list[Club]) -> None:
    """A database would turn one of them into the other's type first, each by a rule of its own."""
    Label.objects.create(code="7", title="seven")
    Club.objects.update(size=7)
    for query in (Club.objects.filter(sized__title="seven"), Club.objects.values("sized__title")):
        with pytest.raises(QueryNotSupported, match="columns of different types"):
            list(query)


def test_texts_that_are_spelt_otherwise(clubs: list[Club]) -> None:
    """SQLite and PostgreSQL call "A" and "a" two texts; to MySQL they may be one, which nothing here can tell."""
    Label.objects.create(code="a", title="first")
    Club.objects.filter(pk__in=[club.pk for club in clubs[:2]]).update(label="a")
    assert sorted(filter(None, Club.objects.values_list("label__title", flat=True))) == ["first"] * 2
    assert {club.label.title for club in Club.objects.exclude(label=None).select_related("label")} == {"first"}
    Club.objects.filter(pk=clubs[1].pk).update(label="A")
    two = Club.objects.filter(name__in=["club 0", "club 1"])
    titles, related = two.values_list("label__title", flat=True), two.select_related("label")
    if ENGINE == "mysql":
        for query in (titles, related):
            with pytest.raises(QueryNotSupported, match="may call equal"):
                list(query)
        return
    assert sorted(titles, key=str) == [None, "first"]
    assert sorted(club.label.title if club.label else "" for club in related) == ["", "first"]


def test_a_union_does_not_fetch_related_rows(clubs: list[Club], accounts: list[Account]) -> None:
    related = Club.objects.select_related("founder")
    for one, other in (("club 1", "club 2"), ("club 3", "club 3")):
        union = related.filter(name=one, site=clubs[1].site).union(related.filter(name=other, site=clubs[1].site))
        with pytest.raises(QueryNotSupported, match=r"shop\.Account"):
            list(union)
        with pytest.raises(QueryNotSupported, match=r"shop\.Account"):
            list(related.filter(name=one).union(related.filter(name=other)).order_by("name"))


def test_federation_joins_as_one_database(clubs: list[Club], accounts: list[Account]) -> None:
    with allow_federation(1_000):
        assert {club.name: club.founder for club in Club.objects.select_related("founder")} == {
            f"club {n}": account for n, account in enumerate(accounts[:-1])
        } | {"club 11": None}
        assert (
            len(Club.objects.select_related("founder").union(Club.objects.select_related("founder").filter(size=1)))
            == 12
        )
