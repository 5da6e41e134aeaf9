"""Which function writes the expressions of a class, where Redshift writes them in another way than Django."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from django.core.exceptions import FieldError

SQL = tuple[str, tuple[Any, ...]]
Render = Callable[[Any, Any, Any], SQL]

_RENDER: dict[type, Render] = {}


@cache
def rendering_of(kind: type) -> Render | None:
    """The function that writes expressions of a class, or None where Django's own will do, or the class's own."""
    for parent in kind.__mro__:
        if parent in _RENDER:
            return _RENDER[parent]
        if vars(parent).keys() & {"as_sql", "as_redshift"}:
            return None
    return None


def renders(*kinds: type | None) -> Callable[[Render], Render]:
    """Make a function the one that writes these classes."""

    def register(render: Render) -> Render:
        _RENDER.update({kind: render for kind in kinds if kind is not None})
        return render

    return register


def since(module: Any, name: str) -> type | None:
    """A class that older Djangos do not have."""
    return getattr(module, name, None)


def internal_type(expression: Any) -> str | None:
    """The name of the type of an expression; None where it has none."""
    try:
        return str(expression.output_field.get_internal_type())
    except (FieldError, AttributeError):
        return None


def copy_of(node: Any, sources: list[Any]) -> Any:
    """The expression over other ones."""
    clone = node.copy()
    clone.set_source_expressions(sources)
    return clone
