"""Checks of ``class Redshift``: what Redshift refuses, and what makes tables slow or answers wrong."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Any

from django.core.checks import CheckMessage
from django.core.exceptions import FieldDoesNotExist
from django.db import models
from django.db.models import Model

from horizon_shards.backends.redshift.storage import (
    DECLARABLE,
    DISTSTYLES,
    IDENTITIES,
    NAMES,
    SORTSTYLES,
    DistKey,
    Storage,
    storage_of,
)
from horizon_shards.checks.catalogue import problem
from horizon_shards.declarations import final_field

MAX_COLUMNS, MAX_SORT_FIELDS, MAX_INTERLEAVED_FIELDS = 1_600, 400, 8
#: Names of columns that every table has.
SYSTEM_COLUMNS = frozenset(["oid", "xmin", "cmin", "xmax", "cmax", "ctid", "tableoid"])
#: Types that nothing can be distributed or sorted by.
OPAQUE = (models.JSONField, models.BinaryField)
NUMBERS = (models.IntegerField, models.DecimalField, models.DateField, models.DurationField)
TEXTS = (models.CharField, models.TextField, models.UUIDField, models.GenericIPAddressField)
#: AWS: Compression encodings, table "supported data types".
ENCODINGS: dict[str, tuple[type, ...] | None] = {
    "raw": None,
    "zstd": None,
    "az64": NUMBERS,
    "bytedict": (*NUMBERS, *TEXTS, models.FloatField),
    "delta": NUMBERS,
    "delta32k": NUMBERS,
    "lzo": (*NUMBERS, *TEXTS, models.JSONField, models.BinaryField),
    "mostly8": (models.IntegerField, models.DecimalField),
    "mostly16": (models.IntegerField, models.DecimalField),
    "mostly32": (models.IntegerField, models.DecimalField),
    "runlength": (*NUMBERS, *TEXTS, models.FloatField, models.BooleanField),
    "text255": TEXTS,
    "text32k": TEXTS,
}


def check_redshift(model: type[Model]) -> list[CheckMessage]:
    """All that is wrong or unwise in how a model is to be stored on Redshift; nothing where it does not say how."""
    if not _says_how(model):
        return []
    storage = storage_of(model)
    wrong = [*_unknown_names(model), *_values(model, storage), *_fields(model, storage)]
    if wrong:
        return wrong
    return [
        *_distribution(model, storage),
        *_sorting(model, storage),
        *_encodings(model, storage),
        *_table(model, storage),
    ]


def _says_how(model: type[Model]) -> bool:
    storage = any(isinstance(entry, Storage) for entry in model._meta.constraints)
    return storage or any(isinstance(index, DistKey) for index in model._meta.indexes)


def _unknown_names(model: type[Model]) -> Iterator[CheckMessage]:
    for name in vars(getattr(model, "Redshift", object)):
        if not name.startswith("_") and name not in NAMES:
            near = difflib.get_close_matches(name, NAMES, 1)
            yield problem(
                "E401",
                f"class Redshift has the unknown name {name!r}.",
                hint=f"Did you mean {near[0]!r}?" if near else f"Known are {', '.join(NAMES)}.",
                obj=model,
            )


def _values(model: type[Model], storage: Storage) -> Iterator[CheckMessage]:
    for name, value, known in (
        ("diststyle", storage.diststyle, DISTSTYLES),
        ("sortstyle", storage.sortstyle, SORTSTYLES),
        ("identity", storage.identity, IDENTITIES),
    ):
        if value not in known:
            yield problem("E401", f"{name} is {value!r}.", hint=f"Known are {', '.join(known)}.", obj=model)
    for kind in storage.declare:
        if kind not in DECLARABLE:
            yield problem("E401", f"declare names {kind!r}.", hint=f"Known are {', '.join(DECLARABLE)}.", obj=model)
    if isinstance(storage.encode, str) and storage.encode not in {"", "auto"}:
        yield problem("E401", f"encode is {storage.encode!r}.", hint="'auto', or a dict by fields.", obj=model)


def _fields(model: type[Model], storage: Storage) -> Iterator[CheckMessage]:
    encoded = storage.encode if isinstance(storage.encode, dict) else {}
    names = {"distkey": [storage.distkey] if storage.distkey else [], "sortkey": storage.sortkey, "encode": encoded}
    known = [field.name for field in model._meta.local_concrete_fields]
    for what, given in names.items():
        for name in given:
            if name != "pk" and not _has_column(model, name):
                near = difflib.get_close_matches(name, known, 1)
                hint = f"Did you mean {near[0]!r}?" if near else f"The fields are {', '.join(known)}."
                yield problem("E402", f"{what} names {name!r}, which is no column of this table.", hint=hint, obj=model)


def _has_column(model: type[Model], name: str) -> bool:
    try:
        return model._meta.get_field(name) in model._meta.local_concrete_fields
    except FieldDoesNotExist:
        return False


def _target(model: type[Model], name: str) -> Any:
    """The field that decides a column's type."""
    field: Any = model._meta.pk if name == "pk" else model._meta.get_field(name)
    return final_field(field)


def _distribution(model: type[Model], storage: Storage) -> Iterator[CheckMessage]:
    if bool(storage.distkey) != (storage.diststyle == "key"):
        yield problem(
            "E403",
            f"diststyle is {storage.diststyle!r}, distkey is {storage.distkey!r}.",
            hint="A distkey goes with diststyle 'key', and with no other: leave diststyle out.",
            obj=model,
        )
    elif storage.distkey:
        field = _target(model, storage.distkey)
        if isinstance(field, OPAQUE):
            yield _opaque("distkey", storage.distkey, model)
        elif isinstance(field, (models.BooleanField, models.DateField)):
            yield problem(
                "W407",
                f"The distribution key {storage.distkey!r} has few values at a time: some nodes do all the work.",
                hint="Distribute by what the table is joined on: a customer, a site, a session.",
                obj=model,
            )


def _opaque(what: str, name: str, model: type[Model]) -> CheckMessage:
    return problem(
        "E404",
        f"{what} names {name!r}, a JSONField or BinaryField: SUPER and VARBYTE are neither distributed nor sorted by.",
        hint="Name a field of a plain type.",
        obj=model,
    )


def _sorting(model: type[Model], storage: Storage) -> Iterator[CheckMessage]:
    limit = MAX_INTERLEAVED_FIELDS if storage.sortstyle == "interleaved" else MAX_SORT_FIELDS
    if len(storage.sortkey) > limit or len(set(storage.sortkey)) < len(storage.sortkey):
        yield problem(
            "E405",
            f"The {storage.sortstyle} sort key has {len(storage.sortkey)} fields; {limit} are possible, each once.",
            hint="Keep those that queries filter by.",
            obj=model,
        )
    if (storage.sortkey and storage.sortstyle == "auto") or (not storage.sortkey and storage.sortstyle != "auto"):
        yield problem(
            "E405",
            f"sortstyle is {storage.sortstyle!r} and sortkey is {storage.sortkey!r}.",
            hint="Redshift chooses the sort key where the style is 'auto'; name fields for the other styles.",
            obj=model,
        )
    yield from (_opaque("sortkey", name, model) for name in storage.sortkey if isinstance(_target(model, name), OPAQUE))


def _encodings(model: type[Model], storage: Storage) -> Iterator[CheckMessage]:
    for name, code in (storage.encode if isinstance(storage.encode, dict) else {}).items():
        kinds = ENCODINGS.get(code.lower(), ())
        if kinds is not None and not isinstance(_target(model, name), kinds):
            yield problem(
                "E406",
                f"{name!r} cannot be encoded as {code!r}.",
                hint="'zstd' and 'raw' take every type, 'az64' numbers and dates. Without an entry Redshift chooses.",
                obj=model,
            )
    first = storage.sortkey[0] if storage.sortkey else None
    if isinstance(storage.encode, dict) and storage.encode.get(first or "", "raw").lower() != "raw":
        yield problem(
            "W408",
            f"{first!r}, the first field of the sort key, is compressed: scans of a range read too many blocks.",
            hint="Leave it out of encode, or make it 'raw'.",
            obj=model,
        )


def _table(model: type[Model], storage: Storage) -> Iterator[CheckMessage]:
    columns = [field.column for field in model._meta.local_concrete_fields]
    if len(columns) > MAX_COLUMNS:
        yield problem(
            "E409", f"The table has {len(columns)} columns; {MAX_COLUMNS} are possible.", hint="Split it.", obj=model
        )
    yield from (
        problem("E410", f"The column {name!r} is one of Redshift's own.", hint="Set db_column.", obj=model)
        for name in columns
        if name and name.lower() in SYSTEM_COLUMNS
    )
    if storage.declare:
        yield problem(
            "W411",
            f"The table declares {', '.join(storage.declare)}: Redshift enforces none of it, and plans with all of it.",
            hint="One duplicate or dangling row makes answers wrong. Silence this check where the load makes sure.",
            obj=model,
        )
    if isinstance(model._meta.pk, models.AutoField) and not isinstance(model._meta.pk, models.BigAutoField):
        yield problem(
            "W412",
            "The primary key has 32 bits, and keys that the client makes have 64.",
            hint="Make it a BigAutoField (DEFAULT_AUTO_FIELD).",
            obj=model,
        )
