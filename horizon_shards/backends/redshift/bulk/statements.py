"""What the bulk statements have in common: their database, names of columns, and who may read the files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from django.db import NotSupportedError, connections, router
from django.db.models import Field, Model

from horizon_shards.backends.redshift.literals import quoted
from horizon_shards.exceptions import ConfigurationError

COMPRESSIONS = ("gzip", "bzip2", "zstd", "lzop")


def redshift(using: str | None, model: type[Model], what: str) -> Any:
    """The connection of an alias, by default where the model is written; ``NotSupportedError`` if not Redshift's."""
    connection = connections[using or router.db_for_write(model)]
    if connection.vendor != "redshift":
        raise NotSupportedError(
            f"{what} needs Redshift, and {connection.alias!r} is {connection.display_name}: use bulk_create() there."
        )
    return connection


def s3_url(url: str) -> str:
    """The literal of an ``s3://`` address; raises ``ValueError`` for another."""
    if not url.startswith("s3://"):
        raise ValueError(f"{url!r} is no address of S3: it begins with s3://.")
    return quoted(url)


def authorization(connection: Any, iam_role: str | None) -> str:
    """``IAM_ROLE ...``: that of the call, of ``OPTIONS["iam_role"]``, or the cluster's own."""
    role = iam_role or connection.settings_dict["OPTIONS"].get("iam_role", "default")
    return "IAM_ROLE default" if role == "default" else f"IAM_ROLE {quoted(role)}"


def known(what: str, value: str, names: Iterable[str]) -> str:
    """The value in capitals; raises ``ConfigurationError`` where it is none of the names."""
    if value not in (names := tuple(names)):
        raise ConfigurationError(f"{what} is {value!r}; known are {', '.join(names)}.")
    return value.upper()


def fields_of(model: type[Model], names: Iterable[str] | None) -> list[Field[Any, Any]]:
    """The concrete fields of a model's own table, or those that are named, in their order."""
    if names is None:
        return list(model._meta.local_concrete_fields)
    return [_concrete(model, name) for name in names]


def _concrete(model: type[Model], name: str) -> Field[Any, Any]:
    field: Any = model._meta.pk if name == "pk" else model._meta.get_field(name)
    if field not in model._meta.local_concrete_fields:
        raise ConfigurationError(f"{model._meta.label}.{name} has no column in {model._meta.db_table}.")
    return field  # type: ignore[no-any-return]


def column_list(connection: Any, fields: Iterable[Field[Any, Any]]) -> str:
    """The quoted columns, with commas."""
    return ", ".join(connection.ops.quote_name(field.column) for field in fields)


def options(given: dict[str, str | bool]) -> Iterator[str]:
    """``NAME`` for True, ``NAME value`` for a text; nothing for False and an empty text."""
    for name, value in given.items():
        if value:
            yield name if value is True else f"{name} {value}"
