"""The rows that queries run over: made from the pools, stored on the shards, and copied to the oracle."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db.models import Model
from hypothesis import strategies as st

from tests.properties.outcome import SHARDS_SIDE, Side
from tests.properties.pools import (
    BOOLS,
    COUNTRIES,
    DATES,
    DATETIMES,
    DECIMALS,
    DURATIONS,
    EDITORS,
    FLOATS,
    GONE,
    INTS,
    JSONS,
    TEXTS,
)
from tests.properties.route import asking
from tests.properties.tables import ORACLE, insert_plainly
from tests.shop.models import Account, Country, Invoice, Order, Site, Tag, Tagging, Ticket, Visit, Visitor

Choose = Callable[[Sequence[Any]], Any]
Columns = dict[str, Any]


@dataclass
class Rows:
    """A dataset as plain values; rows refer to each other by their place in the lists."""

    sites: list[int]
    visitors: list[Columns] = field(default_factory=list)
    visits: list[Columns] = field(default_factory=list)
    tags: list[Columns] = field(default_factory=list)
    taggings: list[tuple[int, int]] = field(default_factory=list)
    invoices: list[Columns] = field(default_factory=list)
    tickets: list[Columns] = field(default_factory=list)
    accounts: list[Columns] = field(default_factory=list)
    orders: list[tuple[int, int]] = field(default_factory=list)


@dataclass(repr=False)
class Dataset:
    """Rows that are stored on both sides. ``ids``: the primary keys by model name, ``site_of``: of each row."""

    name: str
    sites: list[int]
    ids: dict[str, list[Any]]
    site_of: dict[tuple[str, Any], Any]

    def __repr__(self) -> str:
        return f"<Dataset {self.name!r}>"


def make_rows(choose: Choose, sites: Sequence[int], visits: int) -> Rows:
    """About ``visits`` visits with everything around them, of these sites."""
    rows = Rows(list(sites))
    if not sites:
        return rows
    rows.visitors = [_visitor(choose, sites) for _ in range(-(-visits // 3))]
    rows.tags = [{"site_id": choose(sites), "name": choose(TEXTS)} for _ in range(-(-visits // 4))]
    rows.visits = [_visit(choose, rows, number) for number in range(visits)]
    rows.taggings = [pair for number in range(visits) for pair in _taggings(choose, rows, number)]
    rows.invoices = [
        {"site_id": site, "number": number, "total": choose(DECIMALS)}
        for site in sites
        for number in range(min(visits, 5))
        if choose(BOOLS)
    ]
    rows.tickets = [_ticket(choose, rows) for _ in range(visits // 2)] if rows.visitors else []
    rows.accounts = [{"email": choose(TEXTS)} for _ in range(-(-visits // 4))]
    rows.orders = [(choose(range(len(rows.accounts))), choose(INTS)) for _ in range(visits // 2)]
    return rows


def _visitor(choose: Choose, sites: Sequence[int]) -> Columns:
    return {
        "site_id": choose(sites),
        "name": choose(TEXTS),
        "nick": choose((None, *TEXTS)),
        "badge": choose((None, *TEXTS)),
        "joined": choose((None, *DATES)),
    }


def _visit(choose: Choose, rows: Rows, number: int) -> Columns:
    owner = choose(range(len(rows.visitors)))
    return {
        "visitor": owner,
        "site_id": rows.visitors[owner]["site_id"],
        "editor_id": choose((None, None, *range(1, len(EDITORS) + 1), GONE)),
        "country_id": choose((None, *range(1, len(COUNTRIES) + 1))),
        "path": choose(TEXTS),
        "ms": choose((None, None, *INTS)),
        "price": choose((None, *DECIMALS)),
        "ratio": choose((None, *FLOATS)),
        "bot": choose(BOOLS),
        "token": UUID(int=number if number < 3 else number << 100),
        "at": choose((None, *DATETIMES)),
        "took": choose((None, *DURATIONS)),
        "extra": choose(JSONS),
    }


def _ticket(choose: Choose, rows: Rows) -> Columns:
    """A visitor, or none or a visit and an invoice of the same site; now and then the pair is of nobody."""
    visitor = choose(range(len(rows.visitors)))
    site = choose((*([rows.visitors[visitor]["site_id"]] * 5), choose(rows.sites)))
    visits = [number for number, visit in enumerate(rows.visits) if visit["site_id"] == site]
    return {
        "site_id": site,
        "text": choose(TEXTS),
        "visitor": visitor,
        "visit": choose((None, *visits)),
        "invoice_no": choose((None, 0, 1, 2, 3)),
    }


def _taggings(choose: Choose, rows: Rows, visit: int) -> list[tuple[int, int]]:
    near = [n for n, tag in enumerate(rows.tags) if tag["site_id"] == rows.visits[visit]["site_id"]]
    return [(visit, choose(near)) for _ in range(choose((0, 1, 2)))] if near else []


def random_rows(seed: int, sites: Sequence[int], visits: int) -> Rows:
    """The same rows for the same seed."""
    return make_rows(Random(seed).choice, sites, visits)


@st.composite
def small_rows(draw: st.DrawFn, sites: Sequence[int]) -> Rows:
    """Rows that Hypothesis makes, and makes smaller when it has found a difference."""
    chosen = draw(st.lists(st.sampled_from(list(sites)), max_size=4, unique=True))
    return make_rows(lambda pool: draw(st.sampled_from(pool)), chosen, draw(st.integers(0, 6)))


def store(rows: Rows, name: str, *, through: Side = SHARDS_SIDE, one_by_one: bool = False) -> Dataset:
    """Create the rows through the tested side, then copy the very same instances to the oracle.

    ``one_by_one`` saves each row by itself instead of in bulk.
    """
    made: list[list[Any]] = []

    def create(model: type[Model], instances: list[Any]) -> list[Any]:
        with asking(through.routed):
            if one_by_one:
                for instance in instances:
                    instance.save(force_insert=True)
            else:
                model._base_manager.bulk_create(instances)
        insert_plainly(ORACLE, model, instances)
        made.append(instances)
        return instances

    for alias in {"default", ORACLE, through.routed or "default"}:
        named = [Site(pk=pk, name=TEXTS[pk % len(TEXTS)]) for pk in rows.sites]
        Site.objects.using(alias).bulk_create(named, ignore_conflicts=True)
        editors = [
            User(pk=pk, username=username, last_name=last_name, date_joined=DATETIMES[0])
            for pk, (username, last_name) in enumerate(EDITORS, 1)
        ]
        User.objects.using(alias).bulk_create(editors, ignore_conflicts=True)
    create(Country, [Country(pk=n, code=code, name=name) for n, (code, name) in enumerate(COUNTRIES, 1)])
    visitors = create(Visitor, [Visitor(**row) for row in rows.visitors])
    tags = create(Tag, [Tag(**row) for row in rows.tags])
    visits = create(Visit, [Visit(**{**row, "visitor": visitors[row["visitor"]]}) for row in rows.visits])
    create(
        Tagging,
        [Tagging(site_id=visits[v].site_id, visit=visits[v], tag=tags[t]) for v, t in rows.taggings],
    )
    create(Invoice, [Invoice(**row) for row in rows.invoices])
    create(Ticket, [_make_ticket(row, visitors, visits) for row in rows.tickets])
    accounts = create(Account, [Account(**row) for row in rows.accounts])
    create(Order, [Order(account=accounts[a], amount=amount) for a, amount in rows.orders])
    return _dataset(name, rows, made)


def _make_ticket(row: Columns, visitors: list[Any], visits: list[Any]) -> Ticket:
    place = {**row}
    visitor, visit = visitors[place.pop("visitor")], place.pop("visit")
    return Ticket(**place, visitor_no=visitor.pk, visit_no=None if visit is None else visits[visit].pk)


def _dataset(name: str, rows: Rows, made: list[list[Any]]) -> Dataset:
    ids: dict[str, list[Any]] = {}
    site_of: dict[tuple[str, Any], Any] = {}
    for instance in (instance for instances in made for instance in instances):
        label = type(instance).__name__
        ids.setdefault(label, []).append(instance.pk)
        site_of[label, instance.pk] = _key(instance)
    return Dataset(name, rows.sites, ids, site_of)


def _key(instance: Any) -> Any:
    if isinstance(instance, Country):
        return None
    if isinstance(instance, Account):
        return instance.pk
    return instance.account_id if isinstance(instance, Order) else instance.site_id
