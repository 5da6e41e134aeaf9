"""Database checks of the logical database: those of every shard."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from django.core import checks
from django.core.checks import CheckMessage
from django.db import DatabaseError
from django.db.backends.base.validation import BaseDatabaseValidation

from horizon_shards.exceptions import ConfigurationError
from horizon_shards.topology import get_group


class DatabaseValidation(BaseDatabaseValidation):
    """Asks the validation of each shard's backend."""

    _answered: str | None = None

    def check(self, **kwargs: Any) -> list[CheckMessage]:
        """The findings of all shards."""
        found: list[CheckMessage] = []
        try:
            group = get_group(self.connection.alias)
        except ConfigurationError:
            return found  # told by the checks of the settings
        for shard in group.shard_names:
            found += self._check_shard(shard, **kwargs)
        return found

    def _check_shard(self, shard: str, **kwargs: Any) -> list[CheckMessage]:
        """The findings of one shard; that it is down must not hide those of the others."""
        connection = self.connection.shard_connection(shard)  # type: ignore[attr-defined]
        try:
            found: list[CheckMessage] = connection.validation.check(**kwargs)
        except DatabaseError as error:
            text = (
                f"Shard {shard!r} of {self.connection.alias!r} (database {connection.alias!r}) did not answer: {error}"
            )
            return [checks.Warning(text, hint="See whether its server is up.", id="horizon_shards.W112")]
        return found

    def check_field(self, field: Any, **kwargs: Any) -> list[CheckMessage]:
        """The findings of the shards' engine about a field: of the first shard that answers, if any does.

        MySQL asks the server what it is before it names a column type.
        """
        names = self.connection.group.shard_names  # type: ignore[attr-defined]
        # The one that answered before comes first: one that is down would be waited for at every field.
        for shard in sorted(names, key=lambda name: name != self._answered):
            connection = self.connection.shard_connection(shard)  # type: ignore[attr-defined]
            with suppress(DatabaseError):
                found: list[CheckMessage] = connection.validation.check_field(field, **kwargs)
                self._answered = shard
                return found
        return []
