"""``manage.py demo_report``: all websites, what was counted for them, and which shard holds what."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.serializers.json import DjangoJSONEncoder

from report.overview import read_overview
from report.text_report import as_data, as_text


class Command(BaseCommand):
    """Print the report of all websites."""

    help = "Prints the counts of all websites and which shard holds what."

    def add_arguments(self, parser: CommandParser) -> None:
        """In which form."""
        parser.add_argument("--json", action="store_true", help="every row, as JSON")

    def handle(self, *, json: bool, **options: Any) -> None:
        """Print; raises ``CommandError`` where nothing is counted yet."""
        overview = read_overview(days=0)
        if overview is None:
            raise CommandError("Nothing is counted yet: run import_access_log and then aggregate.")
        self.stdout.write(_dumps(as_data(overview)) if json else as_text(overview))


def _dumps(data: dict[str, Any]) -> str:
    return json.dumps(data, cls=DjangoJSONEncoder, indent=1, sort_keys=True, ensure_ascii=False)
