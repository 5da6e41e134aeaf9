"""Rows of joins that leave: asked by key, chunk by chunk, and put beside the rows of the shards."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from django.db.models.expressions import Col
from django.db.models.sql.constants import MULTI

from horizon_shards.backends.sharded.attached import Attachment, FarColumn
from horizon_shards.backends.sharded.farorder import (
    FarTerm,
    sorted_rows,
)
from horizon_shards.backends.sharded.federation.refusals import limit_of
from horizon_shards.backends.sharded.foreign import CHUNK
from horizon_shards.backends.sharded.leaving import refusal
from horizon_shards.backends.sharded.plan import Operation
from horizon_shards.backends.sharded.stepped import SteppedCompiler
from horizon_shards.backends.sharded.units import ManyStep, has_duplicates
from horizon_shards.backends.sharded.walk import inner_of
from horizon_shards.exceptions import QueryNotSupported

#: What the names of columns begin with that are selected for joining alone.
HIDDEN = "_far_key_"
NO_RETURN = " Federation does not take over from iterator(), which has given rows out: run the queryset without it."


class JoinedCompiler(SteppedCompiler):
    """Stands for the compiler of a query with joins that leave."""

    attachments: list[Attachment]
    operation: Operation
    #: The slice of the query, where it is cut here since rows may be left out after the shards have cut theirs.
    cut: tuple[int, int | None] | None = None
    #: How rows are sorted here: the terms on far rows, which come before all others.
    terms: tuple[FarTerm, ...] = ()
    #: How many columns at the end of a row are not the caller's.
    hidden: int = 0

    #: The rows, where federation can take over and so all of them are put together before any is given out.
    rows: list[Any] | None = None

    def answered(self) -> Any:
        """The compiler of the query with the answers."""
        compiler = super().answered()
        for step in self.steps:
            if isinstance(step, ManyStep) and has_duplicates(step):
                self._check_duplicates(step)
        return compiler

    def _check_duplicates(self, step: ManyStep) -> None:
        query = inner_of(self.query)
        is_exists = query.high_mark == 1 and not query.select and not query.default_cols
        attached = any(attachment.many is step for attachment in self.attachments)
        once = is_exists or (query.distinct and not attached)
        if self.operation != "select" or (once and query.group_by is None):
            return
        if not attached or query.is_sliced:
            raise refusal(step.edge, "has several rows for one, so that it repeats rows that are counted or cut")

    def results_iter(
        self,
        results: Any = None,
        tuple_expected: bool = False,
        chunked_fetch: bool = False,
        chunk_size: int = CHUNK,
    ) -> Any:
        """The rows with the far columns in them."""
        if results is None:
            results = self.execute_sql(MULTI, chunked_fetch=chunked_fetch, chunk_size=chunk_size)
        if self.is_federated or not self.attachments:
            return self.inner.results_iter(results, tuple_expected=tuple_expected)
        rows = self._given_out(results) if self.rows is None else self.rows
        return map(tuple, rows) if tuple_expected else iter(rows)

    def execute_sql(self, result_type: Any = MULTI, *args: Any, **kwargs: Any) -> Any:
        """Run the steps, then the query."""
        self.rows = None
        result = super().execute_sql(result_type, *args, **kwargs)
        for name in list(getattr(self.inner, "annotation_col_map", None) or ()):
            if name.startswith(HIDDEN):
                del self.inner.annotation_col_map[name]
        may_federate = not self.is_federated and limit_of(self.logical.group) > 0
        if may_federate and self.attachments and result_type == MULTI and not kwargs.get("chunked_fetch"):
            result = self._put_together(result)
        return result

    def _put_together(self, result: Any) -> Any:
        """Find out whether every row has its far one, before anything reads what this compiler selects."""
        try:
            self.rows = list(self._whole(self.inner.results_iter(result)))
        except QueryNotSupported as refusal:
            self.federate(refusal)
            return self.inner.execute_sql(MULTI)
        return result

    def _given_out(self, results: Any) -> Iterator[Any]:
        try:
            yield from self._whole(self.inner.results_iter(results))
        except QueryNotSupported as refusal:
            if limit_of(self.logical.group) > 0:
                refusal.args = (f"{refusal.args[0]}{NO_RETURN}", *refusal.args[1:])
            raise

    def _whole(self, rows: Any) -> Iterator[Any]:
        width = len(self.inner.select) - self.hidden
        is_whole = self.query.default_cols
        if self.terms:
            found: Any = self._sorted(rows)
        elif self.cut is not None:
            found = self._cut(rows)
        else:
            found = self._with_far(rows)
        # Instances are made of the columns that they need, wherever these stand.
        return found if is_whole or not (self.terms or self.hidden) else (row[:width] for row in found)

    def _sorted(self, rows: Any) -> list[Any]:
        low, high = self.cut or (0, None)
        start = len(self.inner.select)
        order = [index for one in self.attachments for index in one.sorted_by]
        columns = [term.column(start + order.index(n)) for n, term in enumerate(self.terms)]
        return sorted_rows(self._with_far(rows), columns, self.logical.group.config.max_rows)[low:high]

    def _cut(self, rows: Any) -> list[Any]:
        assert self.cut is not None
        low, high = self.cut
        wanted = list(rows)
        found = list(self._with_far(iter(wanted)))
        if len(found) < len(wanted):
            # The shards cut rows in place of which others come.
            self.query.clear_limits()
            found = list(islice(self._with_far(self.ready().results_iter()), high))
        return found[low:]

    def _with_far(self, rows: Any) -> Iterator[Any]:
        rows = iter(rows)
        while chunk := [list(row) for row in islice(rows, CHUNK)]:
            for attachment in self.attachments:
                chunk = list(self._attached(attachment, chunk))
            yield from chunk

    def _attached(self, attachment: Attachment, chunk: list[Any]) -> Iterator[Any]:
        key, places = self._places(attachment)
        if key is None:
            if attachment.many is not None and has_duplicates(attachment.many):
                raise refusal(attachment.edge, "has several rows for one, which has to be selected with its key")
            yield from chunk
            return
        attachment.load({row[key] for row in chunk})
        if self.logical.vendor == "mysql":
            attachment.check_spelling({row[key] for row in chunk})
        for row in chunk:
            for columns in attachment.rows(row[key]):
                whole = list(row)
                for place, position in places:
                    whole[place] = columns[position]
                yield whole + [columns[place] for place in attachment.sort_places]

    def _places(self, attachment: Attachment) -> tuple[int | None, list[tuple[int, int]]]:
        """Where the key stands in a row, and ``(place, position among the far columns)``."""
        places = []
        key = None
        for place, (expression, _, alias) in enumerate(self.inner.select):
            if (
                isinstance(expression, FarColumn)
                and expression.edge is attachment.edge
                and expression.expression is None
            ):
                key = place
            elif isinstance(expression, FarColumn) and expression.edge is attachment.edge:
                places.append((place, _index(attachment.expressions, expression.expression)))
            elif alias in attachment.extra:
                places.append((place, attachment.extra[alias]))
            elif type(expression) is Col and is_same(expression, attachment.edge.home):
                key = place
        return (places[0][0] if key is None and places else key), places

    def explain_query(self) -> Iterator[str]:
        """The steps, the plan of what is left, and the columns that are fetched then."""
        yield from super().explain_query()
        yield from map(str, self.attachments)


def is_same(left: Col, right: Col) -> bool:
    """Whether both are the same column of the same join."""
    return left.alias == right.alias and left.target == right.target


def _index(expressions: list[Any], wanted: Any) -> int:
    return next(place for place, one in enumerate(expressions) if one is wanted)
