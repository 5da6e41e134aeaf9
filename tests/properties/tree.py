"""Queries as data: what Hypothesis builds, what the comparison reads, and what prints as Django code.

The text is also what runs, so a failure report can be pasted into a shell as it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from tests.properties.logic import Keys, fewest, kinds_of


@dataclass(frozen=True, slots=True)
class Term:
    """One term of an ordering: ``source`` is a path or an expression in code."""

    source: str
    is_expression: bool
    descending: bool
    nulls: str | None
    kinds: frozenset[str]

    @property
    def expression(self) -> str:
        return self.source if self.is_expression else f'F("{self.source}")'

    def __str__(self) -> str:
        if not self.is_expression and self.nulls is None:
            return f'"{"-" if self.descending else ""}{self.source}"'
        nulls = f"nulls_{self.nulls}=True" if self.nulls else ""
        if not self.descending and not nulls and self.is_expression and self.source[0] != "(":
            return self.source
        return f"{self.expression}.{'desc' if self.descending else 'asc'}({nulls})"


@dataclass(frozen=True, slots=True)
class Step:
    """One call on the queryset."""

    call: str
    kinds: frozenset[str] = frozenset()
    keys: Keys = None

    def __str__(self) -> str:
        return f".{self.call}"

    def with_columns(self, names: Iterable[str]) -> Step:
        """``values()`` of more columns, never flat; other steps as they are."""
        if not self.kinds & {"values", "values_list"}:
            return self
        more = "".join(f', "{name}"' for name in names)
        return replace(self, call=f"{self.call.removesuffix(')').removesuffix(', flat=True')}{more})")


@dataclass(frozen=True, slots=True)
class Slice:
    """``[start:stop]``; never negative."""

    start: int | None
    stop: int | None

    def __str__(self) -> str:
        return f"[{'' if self.start is None else self.start}:{'' if self.stop is None else self.stop}]"


@dataclass(frozen=True, slots=True)
class Terminal:
    """What ends the query, and in ``form`` how to compare.

    ``rows``, ``first`` and ``last`` (one row, by the order), ``any`` (rows without order), ``value``, ``write``.
    ``wrap`` is the code with ``{}`` for the queryset; ``order`` replaces the order of the query.
    """

    form: str
    wrap: str
    kinds: frozenset[str] = frozenset()
    order: tuple[Term, ...] | None = None


@dataclass(frozen=True, repr=False)
class Query:
    """A whole query: ``Model.objects`` + steps + ordering + tail + slice, ended by a terminal.

    ``root`` is a related manager to start from, in code, instead of ``Model.objects``.
    """

    model: str
    steps: tuple[Step, ...]
    order: tuple[Term, ...]
    tail: tuple[Step, ...]
    flat: bool
    slice: Slice | None
    terminal: Terminal
    root: str | None = None

    @property
    def kinds(self) -> frozenset[str]:
        kinds = kinds_of(*self.steps, *self.order, *self.tail, self.terminal)
        return (
            kinds
            | ({"ordered"} if self.order else set())
            | ({"sliced"} if self.slice else set())
            | ({"related manager"} if self.root else set())
        )

    @property
    def keys(self) -> Keys:
        """The shard keys that the rows can have, as far as the conditions say by themselves."""
        found: Keys = None
        for step in (*self.steps, *self.tail):
            found = fewest(found, step.keys)
        return found

    @property
    def unsliced(self) -> str:
        order = f".order_by({', '.join(map(str, self.order))})" if self.order else ""
        chain = f"{''.join(map(str, self.steps))}{order}{''.join(map(str, self.tail))}"
        return f"{self.root or f'{self.model}.objects'}{chain or '.all()'}"

    def __str__(self) -> str:
        return self.terminal.wrap.replace("{}", f"{self.unsliced}{self.slice or ''}", 1)

    __repr__ = __str__

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """Hypothesis prints the failing query as code, too."""
        printer.text(str(self))

    def keyed(self, more: Iterable[str] = ()) -> str:
        """The code of all rows in order, each with the values of its order terms as ``_k0``, ``_k1`` ...

        ``more``: expressions whose values come after them.
        """
        sources = [*self.key_sources, *more]
        if self.kinds & {"window by the key", "window over shards"}:
            # Django names a column that is selected twice once only, where it filters by a window.
            sources = [f"Coalesce({', '.join([source] * times)})" for times, source in enumerate(sources, 2)]
        keys = {f"_k{number}": source for number, source in enumerate(sources)}
        listed = ", ".join(f"{name}={source}" for name, source in keys.items())
        # Before values(), which would otherwise become the grouping of aggregates.
        add = (Step(f"annotate({listed})"),) if keys else ()
        tail = tuple(step.with_columns(keys) for step in self.tail)
        # Behind a window over groups, Django would group by the window, too.
        place = next((n for n, step in enumerate(self.steps) if "window over groups" in step.kinds), None)
        if place is None:
            query = replace(self, order=self.effective_order, tail=(*add, *tail))
        else:
            steps = (*self.steps[:place], *add, *self.steps[place:])
            query = replace(self, order=self.effective_order, steps=steps, tail=tail)
        return f"list({query.unsliced}{'.reverse()' if self.terminal.form == 'last' else ''})"

    @property
    def effective_order(self) -> tuple[Term, ...]:
        """The order that decides which rows a slice or ``first()`` gives."""
        if self.terminal.order is not None:
            return self.terminal.order
        if not self.order and self.terminal.form in ("first", "last"):
            return (Term("pk", False, False, None, frozenset()),)
        return self.order

    @property
    def key_sources(self) -> list[str]:
        """The expressions of the sort keys; a composite primary key has several."""
        composite = ['F("site_id")', 'F("number")']
        return [
            source
            for term in self.effective_order
            for source in (composite if term.source == "pk" and self.model == "Invoice" else [term.expression])
        ]
