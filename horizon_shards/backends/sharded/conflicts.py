"""What an INSERT that meets rows in its way may rely on: constraints that hold over all shards."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db.models import Model, UniqueConstraint, UUIDField
from django.db.models.constants import OnConflict

from horizon_shards import context
from horizon_shards.exceptions import QueryNotSupported, ShardKeyUpdate
from horizon_shards.placement import Placement

NAMES = {OnConflict.IGNORE: "ignore_conflicts", OnConflict.UPDATE: "update_conflicts"}


class KeyOfUpsert:
    """An INSERT compiler of MySQL, which has no RETURNING: an upsert of one row that tells its automatic key.

    Django writes no SQL for it that MySQL takes. https://dev.mysql.com/doc/refman/8.4/en/insert-on-duplicate.html
    gives the idiom: ``LAST_INSERT_ID(id)`` makes the key of a row in the way the one that the connection reads.
    """

    query: Any
    connection: Any
    returning_fields: Any

    def as_sql(self) -> list[tuple[str, Any]]:
        """Django's upsert that returns nothing, with the key among the columns to update."""
        asked = self.returning_fields
        if not asked or self.query.on_conflict != OnConflict.UPDATE:
            return super().as_sql()  # type: ignore[misc, no-any-return]
        self.returning_fields = None
        ((sql, params),) = super().as_sql()  # type: ignore[misc]
        self.returning_fields = asked
        table, key = map(self.connection.ops.quote_name, (self.query.get_meta().db_table, asked[0].column))
        return [(f"{sql}, {key} = LAST_INSERT_ID({table}.{key})", params)]


def check_conflicts(query: Any, placement: Placement) -> None:
    """Raise where an upsert would change the shard key, or where a row in the way may be on another shard.

    There the database that inserts does not see it, and stores what one database would have ignored or updated.
    Inside ``using_shard()`` the caller asks for what holds on that shard.
    """
    _refuse_new_key(query, placement)
    if query.on_conflict is None or context.pinned_shard(placement.database) is not None:
        return
    for what, names in _in_the_way(query, placement.model):
        if not _holds_everywhere(placement, names):
            key = ", ".join(field.name for field in placement.key)
            raise QueryNotSupported(
                f"bulk_create({NAMES[query.on_conflict]}=True) of {placement.model._meta.label} would miss a row on "
                f"another shard: {what} is unique on each shard only. Add the shard key ({key}) to it, or insert the "
                "rows of each shard inside using_shard(...), where it holds for that shard.",
                reason="unique-over-shards",
            )


def _refuse_new_key(query: Any, placement: Placement) -> None:
    for field in query.update_fields:
        if field in placement.key:
            raise ShardKeyUpdate(
                f"update_fields names {field.name!r}, the shard key of {placement.model._meta.label}: it cannot be "
                "updated. Leave it out."
            )


def _in_the_way(query: Any, model: type[Model]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The constraints by which a row counts as being in the way: those that are named, or all."""
    if query.unique_fields:
        names = tuple(field.name for field in query.unique_fields)
        yield f"unique_fields={sorted(names)}", names
        return
    # A number that the shard gives a row is in nobody's way.
    if set(pk := _pk_fields(model)) <= set(query.fields):
        yield "the primary key", tuple(field.name for field in pk)
    yield from unique_constraints(model)


def unique_constraints(model: type[Model]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The constraints of a model beside its primary key: what each is, and the names of its fields."""
    field: Any
    for field in model._meta.fields:
        if field.unique and not field.primary_key:
            # A foreign key over several columns has none of its own.
            yield f"Field {field.name!r}", (field.name,) if field.column else tuple(field.from_fields)
    for names in model._meta.unique_together:
        yield f"unique_together {tuple(names)!r}", tuple(names)
    for constraint in model._meta.constraints:
        if isinstance(constraint, UniqueConstraint):
            yield f"Constraint {constraint.name!r}", _fields_of(constraint)


def _fields_of(constraint: UniqueConstraint) -> tuple[str, ...]:
    """Fields of a constraint: plain, or bare in an expression; ``Lower("code")`` does not keep the key apart."""
    bare = (getattr(expression, "name", None) for expression in constraint.expressions)
    return (*constraint.fields, *(name for name in bare if name is not None))


def _holds_everywhere(placement: Placement, names: tuple[str, ...]) -> bool:
    """Whether rows with equal values in these fields are on one shard; a UUID is unique by how it is made."""
    fields = _fields(placement.model, names)
    return set(placement.key) <= fields or any(
        isinstance(field, UUIDField) or field.column in placement.bucket_columns for field in fields
    )


def _fields(model: type[Model], names: tuple[str, ...]) -> set[Any]:
    named: list[Any] = [model._meta.get_field(name) for name in names if name != "pk"]
    return {*named, *(_pk_fields(model) if "pk" in names or model._meta.pk in named else ())}


def _pk_fields(model: type[Model]) -> tuple[Any, ...]:
    """The field of a primary key, or those of a composite one."""
    return tuple(getattr(model._meta, "pk_fields", [model._meta.pk]))
