"""Composite foreign keys on shards: the relation stays on one shard because the key is part of it."""

from __future__ import annotations

from typing import Any

import pytest
from django.db.models import Count

from horizon_shards.exceptions import MisplacedRow, ShardKeyUpdate
from horizon_shards.models import move_row
from horizon_shards.testing import assert_single_shard, capture_shards
from tests.shop.models import Invoice, Site, Ticket, Visit, Visitor

pytestmark = pytest.mark.django_db(databases=["default", "track"])


@pytest.fixture
def tickets(visits: list[Visit]) -> list[Ticket]:
    """Three tickets of each site: of the visits 0 and 1, and one without a visit."""
    made = [
        Ticket(visitor=visit.visitor, visit=visit if visit.ms < 2 else None, text=visit.path)
        for visit in visits
        if visit.ms < 3
    ]
    return list(Ticket.objects.bulk_create(made))


def test_the_key_in_the_tuple_names_the_shard(tickets: list[Ticket]) -> None:
    ticket, visitor = tickets[0], tickets[0].visitor
    for value in (visitor, (ticket.site_id, visitor.pk)):
        with assert_single_shard():
            assert Ticket.objects.filter(visitor=value).count() == 3
    with assert_single_shard():
        assert Ticket.objects.filter(visitor__in=[visitor]).count() == 3
    with assert_single_shard():
        assert Ticket.objects.filter(visitor__site=ticket.site_id).count() == 3
    with capture_shards() as captured:
        assert Ticket.objects.filter(visitor__in=[t.visitor for t in tickets[:6]]).count() == 6
    assert len(captured.shards) <= 2


def test_access_asks_one_shard_each(tickets: list[Ticket]) -> None:
    ticket = Ticket.objects.get(pk=tickets[0].pk)
    with assert_single_shard():
        assert ticket.visitor == tickets[0].visitor
    with assert_single_shard():
        assert ticket.visit.path == "/0"
    with assert_single_shard():
        assert ticket.visitor.tickets.count() == 3
    with assert_single_shard():
        assert ticket.visitor.tickets.create(text="more").site_id == ticket.site_id


def test_joins_are_pushed_down(tickets: list[Ticket]) -> None:
    assert Ticket.objects.filter(visit__ms=1).count() == 12
    assert Ticket.objects.exclude(visit__ms=1).count() == 24
    assert Ticket.objects.filter(visit__visitor__name=tickets[0].visitor.name).count() == 2
    assert Visit.objects.filter(tickets__text="/1").count() == 12
    assert Visit.objects.exclude(tickets__text="/1").count() == 48
    assert Visit.objects.filter(tickets=None).count() == 36
    found = Ticket.objects.select_related("visitor", "visit__country").order_by("visit__path", "pk")
    with capture_shards() as captured:
        assert [t.visit and t.visit.country.code for t in found].count("de") == 24
        assert {t.visitor.site_id == t.site_id for t in found} == {True}
    assert len(captured) == 1


def test_a_row_of_another_key_is_no_relation(tickets: list[Ticket]) -> None:
    """An id of another site does not make a relation, whether that site is on the same shard or not."""
    for other in tickets[3::3]:
        stray = Ticket.objects.create(site_id=tickets[0].site_id, visitor_no=other.visitor_no, text="stray")
        with pytest.raises(Visitor.DoesNotExist):
            stray.visitor  # noqa: B018
    strays = Ticket.objects.filter(text="stray")
    assert strays.filter(visitor__name__contains="visitor").count() == 0
    assert Visitor.objects.filter(tickets__text="stray").count() == 0
    assert Visitor.objects.exclude(tickets__text="stray").count() == 12
    assert [ticket.visit for ticket in strays.select_related("visit")] == [None] * 11
    Visitor.objects.exclude(site=tickets[0].site_id).delete()
    assert strays.count() == 11


def test_subqueries_of_tuples_and_counts(tickets: list[Ticket]) -> None:
    assert Ticket.objects.filter(visit__in=Visit.objects.filter(ms=1)).count() == 12
    assert Ticket.objects.exclude(visit__in=Visit.objects.filter(ms=1)).count() == 24
    assert Ticket.objects.filter(visitor__in=Visitor.objects.all()).count() == 36
    counted = Visitor.objects.annotate(n=Count("tickets")).values_list("n", flat=True)
    assert list(counted) == [3] * 12


def test_both_prefetches(tickets: list[Ticket]) -> None:
    found = Ticket.objects.prefetch_related("visitor", "visit").order_by("pk")
    assert all(t.visitor.site_id == t.site_id for t in found)
    assert sum(t.visit is None for t in found) == 12
    visitors = Visitor.objects.prefetch_related("tickets__visit")
    assert sorted(len(visitor.tickets.all()) for visitor in visitors) == [3] * 12


def test_deleting_stays_on_the_shard(tickets: list[Ticket], sites: list[Site]) -> None:
    visitor = tickets[0].visitor
    Visit.objects.filter(visitor=visitor, ms__gt=1).delete()
    with assert_single_shard():
        Visit.objects.get(pk=tickets[0].visit_no).delete()
    ticket = Ticket.objects.get(pk=tickets[0].pk)
    assert (ticket.site_id, ticket.visit_no) == (sites[0].pk, None)
    with assert_single_shard():
        assert visitor.delete()[1] == {"shop.Visitor": 1, "shop.Visit": 1, "shop.Ticket": 3}
    assert Ticket.objects.count() == 33


def test_a_composite_primary_key_on_shards(sites: list[Site], visits: list[Visit]) -> None:
    invoices = [Invoice.objects.create(site=site, number=7, total=site.pk) for site in sites]
    made = [Ticket.objects.create(visitor=v.visitor, invoice=invoices[n]) for n, v in enumerate(visits[::5])]
    with assert_single_shard():
        assert Ticket.objects.get(invoice=invoices[4]) == made[4]
    assert [t.invoice.total for t in Ticket.objects.select_related("invoice").order_by("site")] == [s.pk for s in sites]
    assert Ticket.objects.filter(invoice__total=sites[3].pk).get() == made[3]
    assert Invoice.objects.exclude(tickets=made[3]).count() == 11
    with assert_single_shard():
        assert invoices[0].delete()[1] == {"shop.Invoice": 1, "shop.Ticket": 1}


def test_the_key_cannot_be_changed_by_the_relation(tickets: list[Ticket]) -> None:
    ticket, other = tickets[0], tickets[3]
    ticket.visitor = other.visitor
    with pytest.raises(ShardKeyUpdate):
        ticket.save()


def test_a_row_with_composite_children_is_not_moved_alone(tickets: list[Ticket], sites: list[Site]) -> None:
    visit = tickets[0].visit
    with pytest.raises(MisplacedRow, match=r"shop\.Ticket\.visit"):
        move_row(visit, site=sites[1])


def test_reference_models_and_other_groups_are_refused_as_for_any_key(tickets: list[Ticket], checked: Any) -> None:
    assert checked == []


@pytest.fixture
def checked() -> list[Any]:
    """What the checks say of the model."""
    from horizon_shards.checks import check_model

    return check_model(Ticket)


def test_groups_of_rows_by_their_whole_key_whatever_is_fetched_beside_them() -> None:
    """Where an engine groups by primary keys, the site's stands for the site alone, not for all of its invoices."""
    site = Site.objects.create(name="a")
    for number in range(3):
        Invoice.objects.create(site=site, number=number, total=1)
    rows = Invoice.objects.annotate(tickets_counted=Count("tickets")).select_related("site")
    assert sorted((row.number, row.tickets_counted, row.site.name) for row in rows) == [
        (number, 0, "a") for number in range(3)
    ]
