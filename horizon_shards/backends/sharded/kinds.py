"""What type the values of an expression have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.models import Field
from django.db.models.expressions import ColPairs, Ref

TEXT = {"CharField", "TextField", "SlugField", "EmailField", "URLField", "FilePathField", "FileField"}
#: Types that Python orders as every supported engine does.
PLAIN = {
    "AutoField",
    "BigAutoField",
    "SmallAutoField",
    "IntegerField",
    "BigIntegerField",
    "SmallIntegerField",
    "PositiveIntegerField",
    "PositiveBigIntegerField",
    "PositiveSmallIntegerField",
    "BooleanField",
    "DateField",
    "DateTimeField",
    "TimeField",
    "DurationField",
    "BinaryField",
}
NUMBERS = {"FloatField", "DecimalField"}


def output_field(expression: Any) -> Field[Any, Any] | None:
    """The field that an expression's values are of, or None where Django cannot tell."""
    return getattr(expression, "_output_field_or_none", None) or getattr(expression, "target", None)


def internal_type(field: Any) -> str:
    """The type of the field that is finally meant, through foreign keys."""
    while getattr(field, "remote_field", None) is not None and hasattr(field, "target_field"):
        field = field.target_field
    return "" if field is None else str(field.get_internal_type())


def columns_of(expression: Any) -> Sequence[Any]:
    """Of a composite key each column, else the expression alone."""
    return expression.get_cols() if isinstance(expression, ColPairs) else [expression]


def source_of(expression: Any) -> Any:
    """What a reference to a selected column refers to; any other expression itself."""
    while isinstance(expression, Ref):
        expression = expression.source  # type: ignore[attr-defined]
    return expression
