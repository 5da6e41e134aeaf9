"""``redshift_advise``: what would make queries slow on Redshift."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.core.management.base import BaseCommand, CommandError
from django.db import connections, router

from horizon_shards.backends.redshift.advice import Finding, advise_database, advise_models
from horizon_shards.checks.redshift import check_redshift


class Command(BaseCommand):
    """From the models alone, and with ``--live`` from the cluster, too."""

    help = "Tell what would make queries slow on Redshift: keys, joins, wide columns; with --live skew and alerts."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Which models, and where to look."""
        parser.add_argument("apps", nargs="*", metavar="app_label", help="Apps or models (app.Model); default: all.")
        parser.add_argument("--database", help="The alias of the Redshift database; default: the first that is one.")
        parser.add_argument("--live", action="store_true", help="Ask the cluster, too.")
        parser.add_argument("--json", action="store_true", help="One line of JSON for each finding.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Write the findings; the exit status is 0 all the same."""
        using = options["database"] or _first()
        models = [model for model in _models(options["apps"]) if router.allow_migrate_model(using, model)]
        findings = [*advise_models(models), *_checked(models)]
        if options["live"]:
            findings += advise_database(using, models)
        for finding in findings:
            self.stdout.write(json.dumps(finding._asdict()) if options["json"] else str(finding))
        if not findings and not options["json"]:
            self.stdout.write(f"Nothing to say about {len(models)} models.")


def _first() -> str:
    found = next((connection.alias for connection in connections.all() if connection.vendor == "redshift"), None)
    if found is None:
        raise CommandError("No database is a Redshift: name one by --database.")
    return str(found)


def _models(labels: list[str]) -> list[Any]:
    try:
        if not labels:
            return apps.get_models()
        return [
            model
            for label in labels
            for model in ([apps.get_model(label)] if "." in label else apps.get_app_config(label).get_models())
        ]
    except LookupError as error:
        raise CommandError(str(error)) from error


def _checked(models: list[Any]) -> Iterator[Finding]:
    """What the system checks say of the same models."""
    for model in models:
        for message in check_redshift(model):
            yield Finding(str(message.id), model._meta.label, str(message.msg), str(message.hint or ""))
