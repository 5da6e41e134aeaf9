"""Hypothesis strategies for what changes rows: update(), delete(), and saving what was read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import connections
from hypothesis import strategies as st

from tests.properties.conditions import code
from tests.properties.pools import POOLS
from tests.properties.tables import ORACLE
from tests.properties.tree import Slice, Terminal
from tests.properties.vocabulary import WRITABLE, column

if TYPE_CHECKING:
    from tests.properties.strategies import Draft


@st.composite
def updates(draw: st.DrawFn, draft: Draft, cut: Slice | None) -> Terminal:
    if draft.grouped or draft.model not in WRITABLE:
        return Terminal("value", "{}.count()", frozenset({"count"}))
    name = draw(st.sampled_from(WRITABLE[draft.model]))
    kind = column(draft.model, name).kind
    options = [f"{name}={code(value)}" for value in POOLS[kind]]
    # MariaDB 10.11 computes SET a = a + 1 WHERE id IN (SELECT ... JOIN ...) ORDER BY id wrongly, on one database too.
    if kind == "int" and connections[ORACLE].vendor != "mysql":
        options += [f'{name}=F("{name}") + 1', f'{name}=Coalesce(F("{name}"), Value(0)) - 2']
    if kind == "text" and connections[ORACLE].vendor != "mysql":
        options += [f'{name}=Upper("{name}")', f'{name}=Concat("{name}", Value("!"))']
    return Terminal("write", "{}.update(%s)" % draw(st.sampled_from(options)), frozenset({"update", "write"}))


def deletes(draft: Draft, cut: Slice | None) -> st.SearchStrategy[Terminal]:
    if draft.model == "Country" or draft.shaped:
        return st.just(Terminal("value", "{}.count()", frozenset({"count"})))
    return st.just(Terminal("write", "{}.delete()", frozenset({"delete", "write"})))


@st.composite
def saves(draw: st.DrawFn, draft: Draft, cut: Slice | None) -> Terminal:
    """Write the rows that were read: one by one, in bulk, or by deleting them one by one."""
    if draft.shaped or draft.model not in WRITABLE:
        return Terminal("value", "{}.exists()", frozenset({"exists"}))
    name = draw(st.sampled_from(WRITABLE[draft.model]))
    value = code(draw(st.sampled_from(POOLS[column(draft.model, name).kind])))
    how = draw(st.sampled_from(("save_all", "bulk_update_all", "delete_all")))
    if how == "delete_all" and draft.model != "Country":
        return Terminal("write", "delete_all({})", frozenset({"write", "delete"}))
    existing = draft.data.ids.get(draft.model)
    if how == "save_all" and existing and not draft.order and not draft.tail and draw(st.booleans()):
        pk = code(draw(st.sampled_from(existing)))
        # Without conditions: a row that they leave out would be created a second time.
        draft.steps.clear()
        return Terminal("write", "upsert({}, %s, %s=%s)" % (pk, name, value), frozenset({"write", "update_or_create"}))
    how = "save_all" if how == "delete_all" else how
    return Terminal("write", "%s({}, %s=%s)" % (how, name, value), frozenset({"write", how}))
