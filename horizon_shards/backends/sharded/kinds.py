"""What type the values of an expression have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core.exceptions import FieldError
from django.db.models import Aggregate, Field
from django.db.models.expressions import ColPairs, ExpressionWrapper, Func, Ref, Value
from django.db.models.functions import TruncTime
from django.db.models.functions.datetime import TruncBase

from horizon_shards.declarations import final_field
from horizon_shards.exceptions import QueryNotSupported

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
    try:
        return getattr(expression, "_output_field_or_none", None) or getattr(expression, "target", None)
    except FieldError as error:
        raise QueryNotSupported(
            f"The type of {expression!r} has to be known over several shards: set output_field=. {error}",
            reason="order",
        ) from error


def internal_type(field: Any) -> str:
    """The type of the field that is finally meant, through foreign keys."""
    return "" if field is None else str(final_field(field).get_internal_type())


def family_of(expression: Any) -> str:
    """What values of the expression are compared as: kinds of one family need no conversion."""
    kind = internal_type(output_field(expression))
    if kind in TEXT:
        return "text"
    if kind in ("DateField", "DateTimeField", "TimeField"):
        return "time"
    is_number = kind in NUMBERS or kind == "BooleanField" or kind.endswith(("IntegerField", "AutoField"))
    return "number" if is_number else kind


def converted_by(expression: Any) -> type | None:
    """The class of the field that stores values otherwise than Python shows them; None where none does."""
    field = output_field(expression)
    final = None if field is None else final_field(field)
    return type(final) if hasattr(final, "from_db_value") else None


def is_changed_by_selecting(expression: Any) -> bool:
    """Whether a field writes other SQL where its column is selected than where it is compared: ``select_format()``."""
    field = output_field(expression)
    return field is not None and type(field).select_format is not Field.select_format


def takes_apart(function: Any, source: Any) -> bool:
    """Whether a function makes something else of a duration that a query computes or finds: its days, or a text."""
    if not isinstance(function, Func) or isinstance(source_of(source), Value):
        return False
    kinds = [internal_type(output_field(expression)) for expression in (source, function)]
    return kinds[0] == "DurationField" != kinds[1]


def columns_of(expression: Any) -> Sequence[Any]:
    """Of a composite key each column, else the expression alone."""
    return expression.get_cols() if isinstance(expression, ColPairs) else [expression]


def source_of(expression: Any) -> Any:
    """What a reference to a selected column refers to; any other expression itself."""
    while isinstance(expression, Ref):
        expression = expression.source  # type: ignore[attr-defined]
    return expression


def is_cut_to_seconds(expression: Any) -> bool:
    """Whether times of an expression are cut off, so that MySQL gives them no fraction of a second, not even of 0."""
    expression = source_of(expression)
    if isinstance(expression, ExpressionWrapper | Aggregate):
        return is_cut_to_seconds(expression.get_source_expressions()[0])
    return isinstance(expression, TruncBase) and not isinstance(expression, TruncTime)


def fits(source: Any, result: Any) -> bool:
    """Whether a field of ``result`` takes all decimals of ``source``: Django rounds those with more places."""
    fields = [output_field(expression) for expression in (source, result)]
    own, wide = (None if field is None else getattr(final_field(field), "decimal_places", None) for field in fields)
    return wide is None or (own is not None and own <= wide)
