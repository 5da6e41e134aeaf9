"""How a model's table is stored on Redshift: ``class Redshift`` on the model, or ``DistKey`` and ``SortKey``.

A :class:`Storage` is a constraint to Django, so that it goes into migrations by itself and a change of it is found by
``makemigrations``. It constrains nothing, and other backends make nothing of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.db.models import BaseConstraint, Index, Model

from horizon_shards.exceptions import ConfigurationError

DISTSTYLES = ("auto", "even", "all", "key")
SORTSTYLES = ("compound", "interleaved", "auto")
IDENTITIES = ("default", "always", "none")
DECLARABLE = ("primary_key", "unique", "foreign_key")
#: The names that ``class Redshift`` may have.
NAMES = ("diststyle", "distkey", "sortkey", "sortstyle", "encode", "identity", "declare")


class Storage(BaseConstraint):
    """Distribution, sort keys, encodings, identity, and what is declared to the planner; fields are named.

    ``declare`` names the constraints that the table declares: Redshift enforces none, and plans with all of them.
    """

    def __init__(
        self,
        *,
        name: str,
        diststyle: str | None = None,
        distkey: str | None = None,
        sortkey: str | Iterable[str] = (),
        sortstyle: str | None = None,
        encode: str | Mapping[str, str] = "",
        identity: str = "default",
        declare: Iterable[str] = (),
    ) -> None:
        super().__init__(name=name)
        self.diststyle = (diststyle or ("key" if distkey else "auto")).lower()
        self.distkey = distkey
        self.sortkey = (sortkey,) if isinstance(sortkey, str) else tuple(sortkey)
        self.sortstyle = (sortstyle or ("compound" if self.sortkey else "auto")).lower()
        self.encode = encode if isinstance(encode, str) else dict(encode)
        self.identity = identity
        self.declare = tuple(declare)

    def attributes(self) -> dict[str, Any]:
        """What is declared, by the names of ``class Redshift``."""
        return {name: getattr(self, name) for name in NAMES}

    def renamed(self, names: Mapping[str, str]) -> Storage:
        """The same, where fields are called otherwise."""
        stated = self.attributes()
        stated["distkey"] = names.get(self.distkey or "", self.distkey)
        stated["sortkey"] = tuple(names.get(name, name) for name in self.sortkey)
        if isinstance(self.encode, dict):
            stated["encode"] = {names.get(name, name): code for name, code in self.encode.items()}
        return Storage(name=self.name, **stated)

    def deconstruct(self) -> tuple[str, tuple[Any, ...], dict[str, Any]]:
        """For migrations: what differs from a table that declares nothing."""
        plain = Storage(name=self.name).attributes()
        changed = {name: value for name, value in self.attributes().items() if value != plain[name]}
        return "horizon_shards.backends.redshift.storage.Storage", (), {"name": self.name, **changed}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Storage) and (self.name, self.attributes()) == (other.name, other.attributes())

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f"<Storage of {self.name}>"

    # A constraint to Django: it has no SQL of its own and forbids no row.

    def constraint_sql(self, model: Any, schema_editor: Any) -> None:
        """Nothing within the parentheses of CREATE TABLE."""

    def create_sql(self, model: Any, schema_editor: Any) -> None:
        """Nothing, on backends that are not Redshift."""

    def remove_sql(self, model: Any, schema_editor: Any) -> None:
        """Nothing, on backends that are not Redshift."""

    def validate(self, model: Any, instance: Any, exclude: Any = None, using: str = "default") -> None:
        """Every row is right."""


class DistKey(Index):
    """``Meta.indexes = [DistKey(fields=["customer"])]``, as django-redshift-backend has it; elsewhere an index."""

    def __init__(self, *expressions: Any, **kwargs: Any) -> None:
        super().__init__(*expressions, **kwargs)
        if len(self.fields) != 1:
            raise ConfigurationError("A DistKey has exactly one field: Redshift distributes by one column.")


class SortKey(str):
    """``Meta.ordering = [SortKey("-created")]``, as django-redshift-backend has it: an ordering and a sort key."""

    __slots__ = ()

    def deconstruct(self) -> tuple[str, list[str], dict[str, Any]]:
        """For migrations."""
        return "horizon_shards.backends.redshift.storage.SortKey", [str(self)], {}

    @property
    def field(self) -> str:
        """The name without its direction: Redshift's sort keys have none."""
        return self.lstrip("-+")


def storage_of(model: type[Model]) -> Storage:
    """How the table of a model, or of a historical model in a migration, is to be stored."""
    for constraint in model._meta.constraints:
        if isinstance(constraint, Storage):
            return constraint
    distkey = next((index.fields[0] for index in model._meta.indexes if isinstance(index, DistKey)), None)
    sortkey = tuple(name.field for name in model._meta.ordering or () if isinstance(name, SortKey))
    return Storage(name=storage_name(model), distkey=distkey, sortkey=sortkey)


def storage_name(model: type[Model]) -> str:
    """The name of a model's storage, unique in the project."""
    return f"{model._meta.app_label}_{model._meta.model_name}_redshift"


def read_declaration(sender: type[Model], **kwargs: Any) -> None:
    """Take a model's ``class Redshift`` into its options, where migrations find it; for ``class_prepared``."""
    opts = sender._meta
    stated = _stated(sender)
    if stated is None or opts.proxy or sender.__module__.startswith("__fake__"):
        return
    if any(isinstance(constraint, Storage) for constraint in opts.constraints):
        return
    known = {name: value for name in NAMES if (value := getattr(stated, name, None)) is not None}
    opts.constraints = [*opts.constraints, Storage(name=storage_name(sender), **known)]
    opts.original_attrs["constraints"] = opts.constraints


def _stated(model: type[Model]) -> type | None:
    """The ``class Redshift`` of the model itself or of an abstract parent: that of a table's parent is the parent's."""
    for parent in model.__mro__:
        options = getattr(parent, "_meta", None)
        if parent is not model and options is not None and not options.abstract:
            return None
        if "Redshift" in vars(parent):
            found: type = vars(parent)["Redshift"]
            return found
    return None


def columns(model: type[Model], names: Iterable[str]) -> list[str]:
    """The columns of fields that are named; ``pk`` is the primary key."""
    return [_column(model, name) for name in names]


def _column(model: type[Model], name: str) -> str:
    field = model._meta.pk if name == "pk" else model._meta.get_field(name)
    return field.column or ""  # type: ignore[union-attr]
