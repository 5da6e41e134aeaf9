"""Django's MySQL features, for the versions that Aurora has."""

from __future__ import annotations

from django.db.backends.mysql import features
from django.utils.functional import cached_property

#: Django 6.1 asks for MySQL 8.4 and has dropped what older ones cannot do: the last of it came with 8.0.31.
OLDEST_MYSQL = (8, 0, 31)


class DatabaseFeatures(features.DatabaseFeatures):
    """MySQL's features; Aurora MySQL 3 is MySQL 8.0."""

    @cached_property
    def minimum_database_version(self) -> tuple[int, ...]:  # type: ignore[override]
        """Django's own, and for MySQL no more than what its SQL needs."""
        wanted: tuple[int, ...] = super().minimum_database_version
        return wanted if self.connection.mysql_is_mariadb else min(wanted, OLDEST_MYSQL)
