"""What the declarations of models say about how their tables will do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from django.db.models import ForeignKey, Model

from horizon_shards.backends.redshift.advice.findings import Finding
from horizon_shards.backends.redshift.storage import storage_of

#: Longer text is kept in memory as if it were as long, in each step of a query.
WIDE = 4_096
MAX_VARCHAR = 65_535


def advise_models(models: Iterable[type[Model]]) -> list[Finding]:
    """The findings about these models, which need no database."""
    return [finding for model in models for finding in _model(model)]


def _model(model: type[Model]) -> Iterator[Finding]:
    if not model._meta.managed or model._meta.proxy or model._meta.swapped:
        return
    yield from _keys(model)
    yield from _relations(model)
    yield from _width(model)


def _keys(model: type[Model]) -> Iterator[Finding]:
    storage, label = storage_of(model), model._meta.label
    if storage.diststyle in {"auto", "even"}:
        message = f"The table is distributed {storage.diststyle.upper()}: joins with it move rows, unless it is small."
        yield Finding("no-distkey", label, message, "Declare distkey, or diststyle 'all' for a small table.")
    if not storage.sortkey and storage.diststyle != "all":
        message = "The table has no sort key: a condition on time or key reads all of it."
        yield Finding("no-sortkey", label, message, "Declare sortkey: the column that most conditions compare, first.")


def _relations(model: type[Model]) -> Iterator[Finding]:
    key = storage_of(model).distkey
    for field in model._meta.local_fields:
        target: Any = field.related_model if isinstance(field, ForeignKey) else None
        if key is None or not isinstance(target, type) or field.name == key:
            continue
        theirs = storage_of(target).distkey
        if theirs is None or not _same(model, key, target, theirs):
            continue
        yield Finding(
            "composite",
            f"{model._meta.label}.{field.name}",
            f"Both tables are distributed by {key!r}, and the foreign key does not compare it: the join moves rows.",
            f"Make it a CompositeForeignKey with to_fields={{{theirs!r}: {key!r}, {target._meta.pk.name!r}: ...}}.",
        )


def _same(model: type[Model], key: str, target: type[Model], theirs: str) -> bool:
    """Whether two distribution keys mean the same thing: they refer to the same model, or have the same name."""
    own: Any = model._meta.get_field(key)
    other: Any = target._meta.get_field(theirs)
    if own.related_model is not None and own.related_model == other.related_model:
        return True
    return key == theirs or (other.primary_key and own.related_model is target)


def _width(model: type[Model]) -> Iterator[Finding]:
    for field in model._meta.local_concrete_fields:
        kind, length = field.get_internal_type(), getattr(field, "max_length", None)
        if kind == "TextField" or (kind in {"CharField", "FileField"} and (length is None or length > WIDE)):
            width = f"{length} characters" if length else f"{MAX_VARCHAR} bytes"
            yield Finding(
                "wide",
                f"{model._meta.label}.{field.name}",
                f"Its column has room for {width}, and queries set that aside for each row.",
                "Give it the length that its values have, or leave it out by defer() where it is not read.",
            )
