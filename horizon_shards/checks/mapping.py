"""Checks of the mappings: whether they can be made, and whether the stored assignments fit the settings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.apps import apps
from django.core.checks import CheckMessage
from django.db.models import Model

from horizon_shards.checks.catalogue import problem
from horizon_shards.conf import group_aliases
from horizon_shards.declarations import declared_models
from horizon_shards.exceptions import ConfigurationError
from horizon_shards.topology import Group, get_group


def check_mappings(**kwargs: Any) -> list[CheckMessage]:
    """Whether each group has a mapping, and a directory where one is needed; reads no database."""
    return [message for group in readable_groups() for message in check_mapping(group)]


def check_stored_assignments(*, databases: Sequence[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """What the directory says against the settings: a changed list of shards, a shard that is gone.

    Runs for the logical aliases named by ``check --database`` (and by ``migrate``), because it reads the directory.
    """
    wanted = set(databases or ())
    return [message for group in readable_groups() if group.alias in wanted for message in _problems(group)]


def readable_groups() -> list[Group]:
    """The groups of the settings; none where the settings are broken, which other checks tell."""
    try:
        return [get_group(alias) for alias in group_aliases()]
    except ConfigurationError:
        return []


def check_mapping(group: Group) -> Iterator[CheckMessage]:
    """The problems of making the mapping of one group."""
    if group.config.directory is None and (reason := _needs_directory(group)):
        yield problem(
            "E106",
            f"DATABASES[{group.alias!r}] has no DIRECTORY, which is needed: {reason}.",
            hint="Set DIRECTORY to the alias of an unsharded database, and migrate that one.",
        )
        return
    try:
        group.mapping  # noqa: B018
    except ConfigurationError as error:
        yield problem("E107", str(error), hint=f"Correct DATABASES[{group.alias!r}]['MAPPING'].")


def _needs_directory(group: Group) -> str | None:
    if group.config.mapping_backend == "horizon_shards.mapping.DirectoryMapping":
        return "DirectoryMapping keeps a row for each key there"
    if apps.models_ready and (field := _first_sharded_id(group)):
        return f"{field} leases blocks of numbers there"
    return None


def _first_sharded_id(group: Group) -> str | None:
    return next((str(field) for model in _models(group) for field in _leasing(model)), None)


def _models(group: Group) -> list[type[Model]]:
    try:
        return declared_models(group.alias)
    except ConfigurationError:
        return []


def _leasing(model: type[Model]) -> list[Any]:
    return [field for field in model._meta.local_fields if getattr(field, "carries_bucket", False)]


def _problems(group: Group) -> Iterator[CheckMessage]:
    try:
        found = group.mapping.problems()
    except ConfigurationError:
        return  # told by check_mappings
    for text in found:
        yield problem(
            "W110",
            f"{group.alias!r}: {text}",
            hint="No row moves by itself, and each is looked for where it was stored: do what the message says.",
        )
