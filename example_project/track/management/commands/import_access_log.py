"""``manage.py import_access_log``: Apache and nginx logs into page views, exactly once."""

from __future__ import annotations

import time
import zlib
from argparse import RawDescriptionHelpFormatter
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from track.importing import Importer, Result
from track.log_file import LogFile
from track.management.progress import ProgressBar
from track.management.websites import website_named


class Command(BaseCommand):
    """Import an access log."""

    help = """Imports an access log in the combined format of Apache or nginx, plain or gzip.

Each line belongs to one website: to --site, or to the virtual host in front of the line ("vhost combined"),
or with --site-from=path to the first folder of its path. A line that names none belongs to a website called
like the file. Websites that are new are created. Importing a log again stores only what is new in it."""

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """The parser, with the help as it is written."""
        return super().create_parser(prog_name, subcommand, formatter_class=RawDescriptionHelpFormatter, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        """The file and which website it belongs to."""
        parser.add_argument("file", help="the log, plain or gzip; - reads standard input")
        owner = parser.add_mutually_exclusive_group()
        owner.add_argument("--site", metavar="KEY", help="key or domain of the website that all lines belong to")
        owner.add_argument("--site-from", choices=["host", "path"], default="host", help="what names the website")
        parser.add_argument("--batch-lines", type=int, default=5_000, help="lines that are stored at once (5000)")

    def handle(self, *, file: str, site: str | None, site_from: Any, batch_lines: int, **options: Any) -> None:
        """Import and tell; raises ``CommandError`` for a file that cannot be read."""
        if batch_lines < 1:
            raise CommandError("--batch-lines must be at least 1.")
        name = "standard-input" if file == "-" else Path(file).name.split(".")[0] or "log"
        importer = Importer(
            site=website_named(site) if site else None, site_from=site_from, fallback=name, batch_lines=batch_lines
        )
        started = time.monotonic()
        try:
            self._run(importer, file)
        except (OSError, EOFError, zlib.error) as error:
            raise CommandError(
                f"{file} cannot be read: {error}. {importer.result.stored:,} views were stored before; "
                "importing the whole file again does not double them."
            ) from error
        self._tell(file, importer.result, time.monotonic() - started)

    def _run(self, importer: Importer, file: str) -> None:
        with LogFile(file) as log:
            bar = ProgressBar(self.stderr._out, label="Importing", total=log.size_bytes)
            try:
                importer.run(log, progress=lambda lines: bar.update(log.bytes_read, f"{lines:,} lines"))
            finally:
                bar.close()

    def _tell(self, file: str, result: Result, seconds: float) -> None:
        count = len(result.sites)
        self.stdout.write(
            f"{file}: {result.lines:,} lines in {seconds:.1f} s, {result.stored:,} views stored "
            f"for {count} website{'' if count == 1 else 's'}."
        )
        if result.known:
            self.stdout.write(f"{result.known:,} were imported before and are not doubled.")
        if result.bad:
            self.stdout.write(self.style.WARNING(f"{result.bad:,} bad lines were left out:"))
            for number, reason in result.first_bad:
                self.stdout.write(f"  line {number}: {reason}")
            if result.bad > len(result.first_bad):
                self.stdout.write(f"  and {result.bad - len(result.first_bad):,} more")
