"""``load_firehose s3://bucket/prefix``: what Firehose delivered, into the warehouse, each event once."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, connections

from horizon_shards.exceptions import ConfigurationError
from horizon_shards.loading import Loader, Report, Targets, place_of
from horizon_shards.loading.copying import ByCopy
from horizon_shards.loading.places import Place
from horizon_shards.loading.roads import ByInserts, Road

#: How many bad lines are shown.
SHOWN = 20


class Command(BaseCommand):
    """By COPY and MERGE on Redshift, by batches of INSERT elsewhere; running it again loads what is new."""

    help = (
        "Load the objects that Firehose delivered to S3 into a database, each event once. Fails where a line or an "
        "object could not be loaded; it stays for the next run, or is written to --rejects."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Where from, where to, and what to do with what does not fit."""
        parser.add_argument("source", metavar="ADDRESS", help="s3://bucket/prefix, or a folder.")
        parser.add_argument("--database", default="warehouse", help="The alias to load into; default: warehouse.")
        parser.add_argument(
            "--into",
            action="append",
            default=[],
            metavar="MODEL=MODEL",
            help="The model of the database that takes the records of another one: track.PageView=warehouse.PageEvent.",
        )
        parser.add_argument("--rejects", metavar="ADDRESS", help="Where bad lines go, so that the others are loaded.")
        parser.add_argument("--allow-bad", action="store_true", help="Exit with 0 although something is not loaded.")
        parser.add_argument("--dry-run", action="store_true", help="Read and check everything, and write nothing.")
        parser.add_argument("--json", action="store_true", help="The report as one line of JSON.")
        parser.add_argument("--endpoint", help="The address of a stand-in for S3; default: what boto3 finds.")
        parser.add_argument("--region", help="The region of the bucket; default: what boto3 finds.")
        parser.add_argument("--iam-role", help="The role by which Redshift reads; default: that of its settings.")
        parser.add_argument(
            "--staging",
            metavar="ADDRESS",
            help="Where files for COPY are for a moment; default: horizon-loading in the bucket.",
        )
        parser.add_argument("--batch-rows", type=int, default=500, help="Rows of an INSERT; default: 500.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Load, tell, and fail where something is not loaded."""
        try:
            loader = _loader(options)
        except ConfigurationError as error:
            raise CommandError(str(error)) from error
        try:
            report = loader.try_out() if options["dry_run"] else loader.run()
        except (ConfigurationError, OSError, DatabaseError) as error:
            self._tell(loader.report, options)
            raise CommandError(f"Stopped, and what is told above is loaded; run it again: {error}") from error
        self._tell(report, options)
        if not (report.is_clean or options["allow_bad"]):
            raise CommandError(_verdict(report, has_rejects=bool(options["rejects"])))

    def _tell(self, report: Report, options: dict[str, Any]) -> None:
        if options["json"]:
            told = asdict(report)
            for line in told["bad_lines"]:
                del line["text"]  # what visitors sent is nothing for logs
            self.stdout.write(json.dumps(told))
            return
        would = "would be " if options["dry_run"] else ""
        self.stdout.write(
            f"{report.loaded:,} objects {would}loaded: {report.rows:,} rows, {report.duplicates:,} duplicates, "
            f"{report.rejected:,} rejected lines. {report.known:,} objects were loaded before."
        )
        shown = len(report.bad_lines) if options["verbosity"] > 1 else SHOWN
        for finding in [*report.bad_objects, *report.failed, *report.bad_lines[:shown]]:
            self.stdout.write(str(finding))
        if len(report.bad_lines) > shown:
            self.stdout.write(f"... and {len(report.bad_lines) - shown:,} bad lines more: --verbosity 2 shows all.")


def _loader(options: dict[str, Any]) -> Loader:
    using = options["database"]
    if using not in connections.settings:
        raise ConfigurationError(f"There is no database {using!r}: name one by --database.")
    if options["batch_rows"] < 1:
        raise ConfigurationError("--batch-rows is at least 1.")
    source, rejects = _place(options["source"], options), options["rejects"]
    targets = Targets(using, dict(_pair(text) for text in options["into"]))
    road, others = _road(using, source, options)
    return Loader(source, targets, road, rejects=_place(rejects, options) if rejects else None, others=others)


def _road(using: str, source: Place, options: dict[str, Any]) -> tuple[Road, list[Place]]:
    """COPY where the database has it, and the places that are none of the source."""
    if connections[using].vendor != "redshift":
        return ByInserts(using, batch_rows=options["batch_rows"]), []
    address = options["staging"]
    if address is None:
        if not source.address.startswith("s3://"):
            raise ConfigurationError("COPY reads from S3 alone: say by --staging s3://bucket/prefix where it may.")
        address = "/".join([*source.address.split("/")[:3], "horizon-loading"])
    staging = _place(address, options)
    return ByCopy(using, staging, region=options["region"] or "", iam_role=options["iam_role"]), [staging]


def _place(address: str, options: dict[str, Any]) -> Place:
    return place_of(address, endpoint=options["endpoint"], region=options["region"])


def _pair(text: str) -> tuple[str, str]:
    source, equals, target = text.partition("=")
    if not (source and equals and target):
        raise ConfigurationError(f"--into {text}: write MODEL=MODEL, like track.PageView=warehouse.PageEvent.")
    return source, target


def _verdict(report: Report, *, has_rejects: bool) -> str:
    told = (
        f"{len(report.bad_lines):,} bad lines, {len(report.bad_objects):,} objects not loaded, "
        f"{len(report.failed):,} failed deliveries."
    )
    if report.bad_lines and not has_rejects:
        told += (
            " An object with bad lines stays for the next run; --rejects ADDRESS writes them there and loads the rest."
        )
    return told + " --allow-bad exits with 0 all the same."
