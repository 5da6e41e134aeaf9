"""``manage.py make_profile_tables``: the tables of DynamoDB, where the settings name any."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from track.profiles import ProfileError, profiles


class Command(BaseCommand):
    """Create what is missing; doing it again changes nothing."""

    help = "Creates the DynamoDB tables of the visitors' profiles, with their times to live, where they are missing."

    def handle(self, **options: Any) -> None:
        """Raises ``CommandError`` where DynamoDB does not answer."""
        try:
            names = profiles().make_tables()
        except ProfileError as error:
            raise CommandError(str(error)) from error
        found = " and ".join(names) or "none: profiles are asked of the database (DYNAMODB_PREFIX is not set)"
        self.stdout.write(f"Tables of profiles: {found}.")
