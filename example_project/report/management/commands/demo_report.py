"""``manage.py demo_report``: all websites, what was counted for them, and which shard holds what."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.serializers.json import DjangoJSONEncoder

from report.facts import CHOICES, chosen_facts
from report.overview import read_overview
from report.text_report import as_data, as_text


class Command(BaseCommand):
    """Print the report of all websites."""

    help = "Prints the counts of all websites and which shard holds what; from the warehouse the counts alone."

    def add_arguments(self, parser: CommandParser) -> None:
        """In which form."""
        parser.add_argument("--json", action="store_true", help="every row, as JSON")
        parser.add_argument("--from", dest="facts", choices=CHOICES, help="where to read (the setting REPORT_FROM)")

    def handle(self, *, json: bool, facts: str | None, **options: Any) -> None:
        """Print; raises ``CommandError`` where nothing is counted yet."""
        overview = read_overview(days=0, facts=chosen_facts(facts))
        if overview is None:
            raise CommandError("Nothing is counted yet: run import_access_log, aggregate and load_warehouse.")
        self.stdout.write(_dumps(as_data(overview)) if json else as_text(overview))


def _dumps(data: dict[str, Any]) -> str:
    return json.dumps(data, cls=DjangoJSONEncoder, indent=1, sort_keys=True, ensure_ascii=False)
