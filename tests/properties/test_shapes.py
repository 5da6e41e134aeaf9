"""Simple queries, by name: never refused, right, and on no more shards than they need."""

from __future__ import annotations

import pytest

from tests.properties.explore import DATASETS, check
from tests.properties.judge import judge
from tests.properties.test_oracle import DATABASES, stored
from tests.properties.tree import Query, Slice, Step, Term, Terminal

pytestmark = pytest.mark.django_db(databases=DATABASES)

#: Model, calls, order, slice, end. ``SITE`` and ``ID`` stand for a key and a primary key that exist.
SHAPES: dict[str, tuple[str, str, tuple[str, ...], tuple[int | None, int | None] | None, str]] = {
    "all": ("Visit", "all()", (), None, "list({})"),
    "by key": ("Visit", "filter(site=SITE)", (), None, "list({})"),
    "by key, ordered and cut": ("Visit", "filter(site=SITE)", ("-at", "pk"), (0, 5), "list({})"),
    "by several keys": ("Visit", "filter(site__in=[SITE, 5])", ("pk",), None, "list({})"),
    "by id": ("Visit", "filter(pk=ID)", (), None, "list({})"),
    "by ids": ("Visit", "filter(pk__in=[ID, 7])", (), None, "list({})"),
    "get": ("Visit", "all()", (), None, "{}.get(pk=ID)"),
    "exclude the key": ("Visit", "exclude(site=SITE)", ("pk",), None, "list({})"),
    "a slice of all": ("Visit", "all()", ("path", "pk"), (3, 9), "list({})"),
    "NULLs": ("Visit", "all()", ("ms", "-price", "pk"), None, "list({})"),
    "distinct values": ("Visit", 'values_list("path").distinct()', ("path",), None, "list({})"),
    "distinct rows over a to-many join": ("Visitor", "filter(visits__ms__gt=0).distinct()", ("pk",), None, "list({})"),
    "values": ("Visit", 'values("path", "ms")', ("pk",), None, "list({})"),
    "order by a related column": ("Visit", "all()", ("visitor__name", "pk"), None, "list({})"),
    "filter by a related column": ("Visit", 'filter(visitor__name__startswith="a")', ("pk",), None, "list({})"),
    "filter by a reference model": ("Visit", 'filter(country__code="DE")', ("pk",), None, "list({})"),
    "select_related": ("Visit", 'select_related("visitor", "country")', ("pk",), None, "list({})"),
    "prefetch_related": ("Visitor", 'prefetch_related("visits")', ("pk",), None, "list({})"),
    "prefetch_related of a many-to-many": ("Visit", 'prefetch_related("tags")', ("pk",), None, "list({})"),
    "prefetch_related of the other database": ("Visit", 'prefetch_related("site")', ("pk",), None, "list({})"),
    "prefetch_related of a reference model": ("Visit", 'prefetch_related("country")', ("pk",), None, "list({})"),
    "count related rows": ("Visitor", 'annotate(n=Count("visits"))', ("-n", "pk"), None, "list({})"),
    "count by key": ("Visit", 'values("site").annotate(n=Count("id"))', ("-n", "site"), None, "list({})"),
    "count": ("Visit", "all()", (), None, "{}.count()"),
    "count of a slice": ("Visit", "all()", (), (2, 11), "{}.count()"),
    "count of distinct values": ("Visit", 'values("path").distinct()', (), None, "{}.count()"),
    "exists": ("Visit", "filter(ms=10**7)", (), None, "{}.exists()"),
    "first": ("Visit", "all()", ("at",), None, "{}.first()"),
    "last": ("Visit", "all()", ("path", "pk"), None, "{}.last()"),
    "earliest": ("Visit", "filter(at__isnull=False)", ("at",), None, '{}.earliest("at")'),
    "in_bulk": ("Visit", "all()", (), None, "{}.in_bulk([ID])"),
    "iterator": ("Visit", "all()", ("pk",), None, "list({}.iterator(chunk_size=3))"),
    "aggregates": (
        "Visit", "all()", (), None,
        '{}.aggregate(Count("id"), Sum("price"), Min("path"), Max("at"), Avg("ms"), s=Sum("ms", default=0))',
    ),
    "aggregates over a relation": ("Visitor", "all()", (), None, '{}.aggregate(Sum("visits__ms"), Max("visits__at"))'),
    "distinct aggregates": (
        "Visit", "all()", (), None,
        '{}.aggregate(Count("ms", distinct=True), Sum("ms", distinct=True), n=Count("visitor__name", distinct=True))',
    ),
    "expressions over aggregates": (
        "Visit", "all()", (), None, '{}.aggregate(a=Sum("ms") - Count("id"), b=Coalesce(Max("path"), Value("-")))',
    ),
    "groups": (
        "Visit", 'values("path").annotate(n=Count("ms", distinct=True), s=Sum("ms") * 2).filter(s__gt=F("n"))',
        ("path",), None, "list({})",
    ),
    "aggregates of groups": (
        "Visit", 'values("path").annotate(n=Count("id"))', (), None, '{}.aggregate(Sum("n"), Max("n"), c=Count("*"))',
    ),
    "aggregates of a slice": (
        "Visit", "all()", ("path", "pk"), (2, 11), '{}.aggregate(Sum("ms"), Max("path"))',
    ),
    "aggregates of distinct rows": (
        "Visit", 'values("path", "bot").distinct()', (), None, '{}.aggregate(Count("path"))',
    ),
    "update by key": ("Visit", "filter(site=SITE)", (), None, '{}.update(ms=F("ms") + 1)'),
    "update everywhere": ("Visit", "filter(bot=True)", (), None, '{}.update(path="gone")'),
    "delete by key": ("Visit", "filter(site=SITE)", (), None, "{}.delete()"),
    "delete everywhere, cascading": ("Visitor", "filter(nick__isnull=True)", (), None, "{}.delete()"),
    "a reference model": ("Country", "all()", ("name", "pk"), None, "list({})"),
    "update a reference model": ("Country", 'filter(code="DE")', (), None, '{}.update(name="Germany")'),
    "composite primary key": ("Invoice", "all()", ("pk",), None, "list({})"),
    "async": ("Visit", "all()", (), None, "run({}.acount())"),
}  # fmt: skip


def as_query(name: str, site: int, pk: int) -> Query:
    """The shape as a query of the oracle."""
    model, calls, order, cut, end = SHAPES[name]
    calls, end = (text.replace("SITE", str(site)).replace("ID", str(pk)) for text in (calls, end))
    form = {"{}.first()": "first", "{}.last()": "last"}.get(end, "rows" if end.startswith("list") else "value")
    if "update(" in end or "delete(" in end:
        form = "write"
    if "earliest" in end or "get(" in end:
        form = "first"
    terms = tuple(Term(path.lstrip("-"), False, path.startswith("-"), None, frozenset()) for path in order)
    keys = frozenset({site}) if "site=SITE" in SHAPES[name][1] and "exclude" not in calls else None
    kinds = frozenset({"distinct"} if "distinct" in calls else {"Avg", "Min", "Max"} if "Avg" in end else set())
    step = Step(calls, kinds, keys)
    query_order = () if "earliest" in end else terms
    return Query(
        model, (step,), query_order, (), False, Slice(*cut) if cut else None, Terminal(form, end, frozenset(), terms)
    )


@pytest.mark.parametrize("name", SHAPES)
def test_shape(name: str, oracle_seed: int) -> None:
    """Answered, and as one database answers."""
    data = stored(DATASETS[0], oracle_seed)
    pk = data.ids["Visit"][3]
    verdict = judge(as_query(name, data.site_of["Visit", pk], pk))
    assert verdict.result == "same", f"{verdict.result}: {verdict.why}\n{verdict.query}"
    check(verdict)
