"""``redshift_check FILE.sql``: whether Redshift would accept the statements of a file."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError


class Command(BaseCommand):
    """Needs no database; the grammar needs sqlfluff."""

    help = "Check SQL against Redshift's grammar, rules and functions, without a cluster."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Files, or ``-`` for standard input."""
        parser.add_argument("files", nargs="+", metavar="FILE", help="A file of SQL; - reads standard input.")
        parser.add_argument("--json", action="store_true", help="One line of JSON for each statement that is refused.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Tell what is refused; fails where anything is."""
        refused = count = 0
        for name in options["files"]:
            for number, sql, refusals in self._checked(name):
                count += 1
                refused += bool(refusals)
                for refusal in refusals:
                    self._tell(name, number, sql, refusal, as_json=options["json"])
        if refused:
            raise CommandError(f"Redshift would refuse {refused} of {count} statements.")
        if not options["json"]:
            self.stdout.write(f"Redshift would accept {count} statements, as far as this check knows.")

    def _checked(self, name: str) -> Iterator[tuple[int, str, list[Any]]]:
        from horizon_shards.testing.redshift.check import check_sql
        from horizon_shards.testing.redshift.lexer import statements

        text = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
        for number, sql in statements(text):
            yield number, sql, check_sql(sql)

    def _tell(self, name: str, number: int, sql: str, refusal: Any, *, as_json: bool) -> None:
        if as_json:
            line = {"file": name, "line": number, "rule": refusal.rule, "message": refusal.message, "sql": sql}
            self.stdout.write(json.dumps(line))
        else:
            self.stdout.write(f"{name}:{number}: {refusal.rule}: {refusal.message}")
