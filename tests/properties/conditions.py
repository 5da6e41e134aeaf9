"""Hypothesis strategies for conditions: lookups on every kind of column, joined and negated."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.properties.inner import SUBQUERIES
from tests.properties.logic import Bare, Condition, Join, Keys, Negation, Test
from tests.properties.pools import POOLS
from tests.properties.rows import Dataset
from tests.properties.vocabulary import COLUMNS, Column

ORDERED = ("gt", "gte", "lt", "lte")
TEXTUAL = ("iexact", "contains", "icontains", "startswith", "istartswith", "endswith", "iendswith")
#: Ids that no row has: nothing of the layout of sharded ids may be taken for granted.
MISSING_IDS = (0, 1, 2**62 + 12345, 2**63 - 1)
NO_KEYS: Keys = frozenset()


def code(value: Any) -> str:
    """Python code for a value of the pools."""
    return repr(value).replace("datetime.timezone.utc", "utc").replace("datetime.", "")


@st.composite
def conditions(draw: st.DrawFn, model: str, data: Dataset, depth: int = 2, nesting: int = 2) -> Condition:
    """A tree of lookups on ``model``, at most ``depth`` joins and ``nesting`` subqueries deep."""
    shape = draw(st.integers(0, 9)) if depth else 0
    if shape < 5:
        return draw(lookups(model, data, nesting))
    below = conditions(model, data, depth - 1, nesting)
    if shape < 7:
        return Negation(draw(below))
    return Join(draw(st.sampled_from("&&||^")), draw(below), draw(below))


@st.composite
def lookups(draw: st.DrawFn, model: str, data: Dataset, nesting: int) -> Condition:
    """One lookup on one column; keys and primary keys come up often."""
    special = draw(st.integers(0, 19))
    if special == 0 and model in COMPARABLE:
        return draw(comparisons(model))
    if special == 1 and nesting and model in SUBQUERIES:
        return draw(subqueries(model, data, nesting - 1))
    if special == 2 and model == "Invoice":
        return draw(composite_lookups(data))
    if special in (2, 3, 4) and model == "Ticket":
        return draw(relation_lookups(data))
    every = COLUMNS[model]
    addresses = [column for column in every if column.kind == "key" or column.path == "id"]
    column = draw(st.sampled_from(addresses if addresses and special < 6 else every))
    return draw(column_lookups(column, model, data))


def column_lookups(column: Column, model: str, data: Dataset) -> st.SearchStrategy[Condition]:
    """A lookup on this column."""
    if column.kind == "key":
        return key_lookups(column, data)
    if column.kind.startswith("id:"):
        return id_lookups(column, model, data)
    return value_lookups(column)


def _kinds(column: Column, *more: str) -> frozenset[str]:
    related = {"to-many lookup" if column.many else "related lookup"} if column.related else set()
    return frozenset({"filter", *more} | related)


@st.composite
def value_lookups(draw: st.DrawFn, column: Column) -> Test:
    """A lookup on a plain column with values that rows are likely to have."""
    pool = st.sampled_from(POOLS[column.kind])
    names = ["", "", "in", "isnull"]
    if column.kind == "text":
        names += TEXTUAL + ORDERED[:2]
    if column.kind not in ("bool", "json", "text"):
        names += (*ORDERED, "range")
    if column.kind == "json":
        names = ["", "__a", "__a__isnull", "isnull", "has_key"]
    if column.kind in ("date", "datetime"):
        names += ["year", "month__lte"]
    name = draw(st.sampled_from(names))
    value = draw(_values(name, pool))
    lookup = column.path + (name if name.startswith("__") or not name else f"__{name}")
    return Test(lookup, value, _kinds(column, *({name} & {"in", "range", "isnull"})))


@st.composite
def _values(draw: st.DrawFn, name: str, pool: st.SearchStrategy[Any]) -> str:
    if name.endswith("isnull"):
        return str(draw(st.booleans()))
    if name == "in":
        return code(draw(st.lists(pool, max_size=4)))
    if name == "range":
        return code((draw(pool), draw(pool)))
    if name in ("year", "month__lte"):
        return str(draw(st.sampled_from((1999, 2024, 2025) if name == "year" else (1, 2, 11))))
    if name == "__a":
        return code(draw(st.sampled_from((1, 2, "x"))))
    return code("a") if name == "has_key" else code(draw(pool))


@st.composite
def key_lookups(draw: st.DrawFn, column: Column, data: Dataset) -> Test:
    """A lookup on the shard key ``site``: what a query is routed by."""
    key = st.sampled_from([*data.sites, 987_654_321])
    shape = draw(st.integers(0, 9))
    kinds = _kinds(column, "key")
    if shape < 4:
        chosen = draw(key)
        return Test(
            draw(st.sampled_from(("site", "site_id", "site__id", "site__pk"))), code(chosen), kinds, _set(chosen)
        )
    if shape < 7:
        several = draw(st.lists(key, max_size=3))
        name = draw(st.sampled_from(("site__in", "site_id__in")))
        return Test(name, code(several), kinds | {"in"}, _set(*several))
    if shape == 7:
        return Test("site__id__range", code(tuple(sorted((draw(key), draw(key))))), kinds | {"range"})
    if shape == 8:
        return Test("site__isnull", str(draw(st.booleans())), kinds | {"isnull"})
    return Test(f"site_id__{draw(st.sampled_from(ORDERED))}", code(draw(key)), kinds)


def _set(*keys: Any) -> Keys:
    return frozenset(keys)


@st.composite
def id_lookups(draw: st.DrawFn, column: Column, model: str, data: Dataset) -> Test:
    """A lookup by primary or foreign key; a sharded id carries the bucket of its row."""
    target = column.kind.partition(":")[2]
    existing = data.ids.get(target) or [1]
    one = st.one_of(st.sampled_from(existing), st.sampled_from(existing), st.sampled_from(MISSING_IDS))
    kinds = _kinds(column, "pk" if column.path == "id" else "foreign key")
    name = draw(st.sampled_from(("id", "pk") if column.path == "id" else (column.path, f"{column.path}__id")))
    shape = draw(st.integers(0, 9))
    if shape < 5:
        chosen = draw(one)
        return Test(name, code(chosen), kinds, _keys_of(target, column, [chosen], data))
    if shape < 8:
        several = draw(st.lists(one, max_size=4))
        return Test(f"{name}__in", code(several), kinds | {"in"}, _keys_of(target, column, several, data))
    if shape == 8 and column.path != "id":
        return Test(f"{column.path}__isnull", str(draw(st.booleans())), kinds | {"isnull"})
    return Test(f"{name}__{draw(st.sampled_from(ORDERED))}", code(draw(one)), kinds)


def _keys_of(target: str, column: Column, ids: list[Any], data: Dataset) -> Keys:
    """The shard keys of these rows; None where an id is nobody's, so that nothing is expected of it."""
    keys = {data.site_of.get((target, one)) for one in ids}
    return None if None in keys or column.many or target == "Country" else frozenset(keys)


@st.composite
def composite_lookups(draw: st.DrawFn, data: Dataset) -> Test:
    """A lookup by the composite primary key of invoices."""
    existing = data.ids.get("Invoice") or [(1, 1)]
    one = st.one_of(st.sampled_from(existing), st.tuples(st.sampled_from([*data.sites, 5]), st.integers(0, 6)))
    kinds = frozenset({"filter", "pk", "composite pk"})
    if draw(st.booleans()):
        chosen = draw(one)
        return Test("pk", code(chosen), kinds, frozenset({chosen[0]}))
    several = draw(st.lists(one, min_size=1, max_size=3))
    return Test("pk__in", code(several), kinds | {"in"}, frozenset(pk[0] for pk in several))


@st.composite
def relation_lookups(draw: st.DrawFn, data: Dataset) -> Test:
    """A lookup by a composite foreign key: tuples of shard key and id, of rows that are there and of nobody."""
    name, target = draw(st.sampled_from((("visitor", "Visitor"), ("visit", "Visit"), ("invoice", "Invoice"))))
    existing = data.ids.get(target) or [(1, 1) if target == "Invoice" else 1]
    rows = [pk if target == "Invoice" else (data.site_of.get((target, pk), 1), pk) for pk in existing]
    number = st.integers(0, 4) if target == "Invoice" else st.sampled_from((*existing, *MISSING_IDS))
    one = st.one_of(st.sampled_from(rows), st.sampled_from(rows), st.tuples(st.sampled_from([*data.sites, 5]), number))
    kinds = frozenset({"filter", "composite foreign key"})
    shape = draw(st.integers(0, 9))
    if shape < 4:
        chosen = draw(one)
        return Test(name, code(chosen), kinds, frozenset({chosen[0]}))
    if shape < 8:
        several = draw(st.lists(one, min_size=1, max_size=4))
        return Test(f"{name}__in", code(several), kinds | {"in"}, frozenset(pair[0] for pair in several))
    if shape == 8:
        return Test(f"{name}__isnull", str(draw(st.booleans())), kinds | {"isnull"})
    return Test(f"{name}__{draw(st.sampled_from(ORDERED))}", code(draw(one)), kinds)


COMPARABLE = {
    "Visit": (("ms", "ratio"), ("ms", "price"), ("path", "visitor__name"), ("path", "country__code"), ("ms", "ms")),
    "Visitor": (("name", "nick"), ("name", "visits__path"), ("nick", "nick")),
    "Invoice": (("number", "total"), ("total", "number")),
    "Order": (("amount", "amount"),),
    "Ticket": (("text", "visitor__name"), ("invoice_no", "visit__ms"), ("visit_no", "visit__id")),
}


@st.composite
def comparisons(draw: st.DrawFn, model: str) -> Test:
    """A column compared with another one."""
    left, right = draw(st.sampled_from(COMPARABLE[model]))
    name = draw(st.sampled_from(("", "__gt", "__lte", "__gte")))
    plus = " + 1" if left == "ms" and draw(st.booleans()) else ""
    kinds = {"filter", "F"} | ({"related lookup"} if "__" in left + right else set())
    return Test(left + name, f'F("{right}"){plus}', frozenset(kinds))


@st.composite
def subqueries(draw: st.DrawFn, model: str, data: Dataset, nesting: int) -> Bare:
    """A condition with a query inside, on colocated rows or elsewhere."""
    template, inner = draw(st.sampled_from(SUBQUERIES[model]))
    where = {"subquery"} if template == SUBQUERIES[model][0][0] else {"subquery elsewhere"}
    if draw(st.integers(0, 2)) == 0:
        # All rows, NULLs among them.
        return Bare(template.replace("{}, ", "").replace("{}", ""), frozenset({"filter"} | where))
    condition = draw(conditions(inner, data, 1, nesting))
    return Bare(template.replace("{}", str(condition)), condition.kinds | {"filter"} | where)


def kinds_of_filter(condition: Condition) -> frozenset[str]:
    """The kinds that an aggregate's ``filter=`` brings: a query inside it runs as one in ``filter()`` does."""
    return condition.kinds & {"subquery", "subquery elsewhere"} | {"aggregate filter"}
