"""Whether a value of a line is one of its field, as strictly as the strictest database."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import connections
from django.db.models import BinaryField, CharField, DecimalField, Field, FileField, IntegerField, JSONField
from django.utils import timezone

from horizon_shards.declarations import final_field
from horizon_shards.sinks.record import in_type


def fitted(field: Field[Any, Any], document: Mapping[str, Any], using: str) -> Any:
    """The value of a field in its type; raises ``ValueError`` that names the column and says why it has none."""
    given = document[str(field.column)]
    if given is None:
        if not field.null:
            raise ValueError(f"{field.column!r} is null")
        return None
    kind = final_field(field)
    try:
        _refuse_other_kind(kind, given)
        value = in_type(kind, given)
        _refuse_size(kind, value, using)
    except (ValidationError, ValueError, TypeError, ArithmeticError) as error:
        told = " ".join(error.messages) if isinstance(error, ValidationError) else str(error)
        raise ValueError(f"{field.column!r} does not fit: {told}") from error
    return value


def _refuse_other_kind(kind: Field[Any, Any], given: Any) -> None:
    """What Django would read as something else: a text of a list, 5 of 5.7."""
    if isinstance(given, dict | list) and not isinstance(kind, JSONField):
        raise ValueError(f"{type(given).__name__} is no {kind.get_internal_type()}")
    if isinstance(given, float) and isinstance(kind, IntegerField) and not given.is_integer():
        raise ValueError(f"{given} is no whole number")
    if isinstance(kind, BinaryField):
        b64decode(given, validate=True)


def _refuse_size(kind: Field[Any, Any], value: Any, using: str) -> None:
    if isinstance(kind, CharField | FileField) and kind.max_length and len(value) > kind.max_length:
        raise ValueError(f"{len(value)} characters, and {kind.max_length} is the most")
    if isinstance(kind, IntegerField):
        least, most = connections[using].ops.integer_field_ranges.get(kind.get_internal_type(), (value, value))
        if not least <= value <= most:
            raise ValueError(f"{value} is not between {least} and {most}")
    if isinstance(kind, DecimalField):
        kind.run_validators(value)
    if isinstance(value, datetime) and timezone.is_aware(value) != settings.USE_TZ:
        raise ValueError(f"{value} has {'no' if settings.USE_TZ else 'a'} time zone")
