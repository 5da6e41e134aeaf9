"""Django's ``createcachetable``, which refuses a logical database."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError
from django.core.management.commands.createcachetable import Command as DjangoCreateCacheTable

from horizon_shards.exceptions import ConfigurationError
from horizon_shards.topology import get_topology


class Command(DjangoCreateCacheTable):
    """A cache table has no shard key; Django's command would make none, and say nothing.

    On the shards' own aliases it still does: Django calls it for every test database.
    """

    def handle(self, *tablenames: Any, **options: Any) -> None:
        """Create the tables; raise ``CommandError`` for a logical database."""
        alias = options["database"]
        try:
            is_logical = alias in get_topology().groups
        except ConfigurationError as error:
            raise CommandError(str(error)) from error
        if is_logical:
            raise CommandError(
                f"{alias!r} is a logical database, and a cache table has no shard key: use createcachetable "
                "--database=default, or another unsharded database."
            )
        super().handle(*tablenames, **options)
