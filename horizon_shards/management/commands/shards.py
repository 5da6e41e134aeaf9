"""``manage.py shards``: what each shard is and holds; ``shards where MODEL KEY``: which shard holds a key;
``shards recover``: ends transactions that a crash has left prepared.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from django.apps import apps
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import Model

from horizon_shards.backends.sharded.twophase.recovery import Recovered, recover
from horizon_shards.declarations import to_key_part
from horizon_shards.exceptions import ConfigurationError, DirectoryUnavailable, HorizonShardsError
from horizon_shards.placement import Placement, placement_of
from horizon_shards.rollout.inventory import DatabaseState, GroupState, read_group_state
from horizon_shards.topology import Group, get_topology

HEADINGS = (
    *("shard", "role", "database", "state", "rows", "keys", "pending", "prepared"),
    *("connections", "own", "at most"),
)
WAIT_SECONDS = 5.0


class Command(BaseCommand):
    """Looks only, but for ``recover``; places no key."""

    help = "Shows the shards of each logical database, or which shard holds a key; ends transactions left prepared."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """``shards``, ``shards where MODEL KEY [KEY ...]`` and ``shards recover``, each with its options."""
        parser.add_argument("--database", metavar="ALIAS", help="Only this logical database.")
        parser.add_argument("--json", action="store_true", help="Print JSON.")
        parser.add_argument("--fail", action="store_true", help="Exit with an error if a database does not answer.")
        parser.add_argument("--no-rows", action="store_true", help="Do not count rows, which is slow on big tables.")
        actions = parser.add_subparsers(dest="action", metavar="where | recover")
        where = actions.add_parser("where", help="Which shard holds a key: shards where MODEL KEY.")
        where.add_argument("model", help='The model, as "app.Model".')
        where.add_argument("key", nargs="+", help="The shard key; the parts of a composite key one after the other.")
        where.add_argument("--json", action="store_true", default=None, dest="where_json", help="Print JSON.")
        recover = actions.add_parser("recover", help="End transactions in two phases that a crash has left prepared.")
        recover.add_argument(
            "--wait",
            type=float,
            default=WAIT_SECONDS,
            metavar="SECONDS",
            help="Leave alone what was prepared less than so long ago (%(default)s).",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Show; raise ``CommandError`` for what is unknown, and with ``--fail`` for what does not answer."""
        try:
            if options.get("action") == "where":
                self._where(options)
            elif options.get("action") == "recover":
                self._recover(options)
            else:
                self._states(options)
        except (ConfigurationError, DirectoryUnavailable) as error:
            raise CommandError(str(error)) from error

    def _states(self, options: dict[str, Any]) -> None:
        count_rows = not options["no_rows"]
        states = [read_group_state(group, count_rows=count_rows) for group in _groups(options["database"])]
        self.stdout.write(json.dumps(list(map(_as_dict, states)), indent=2) if options["json"] else _as_text(states))
        if options["fail"]:
            _require_answers(states)

    def _recover(self, options: dict[str, Any]) -> None:
        wanted = options["database"]
        groups = [group for group in _groups(wanted) if wanted is not None or group.directory is not None]
        results = [recover(group, wait_seconds=options["wait"]) for group in groups]
        for result in results:
            self.stdout.write(f"{result.database}: {_recovered(result)}")
        _require_all_ended(results)

    def _where(self, options: dict[str, Any]) -> None:
        placement = _sharded(options["model"])
        key = _parse(placement, options["key"])
        found = _find(placement, key)
        if options["json"] or options.get("where_json"):
            self.stdout.write(json.dumps(found))
        elif found["shard"] is None:
            self.stdout.write(f"{key!r} is not known to {placement.database!r}: no shard holds it.")
        else:
            bucket = "" if found["bucket"] is None else f", bucket {found['bucket']}"
            self.stdout.write(f"{key!r} is on {found['shard']} (database {found['alias']}{bucket}).")


def _groups(wanted: str | None) -> list[Group]:
    groups = get_topology().groups
    if wanted is not None and wanted not in groups:
        raise CommandError(f"{wanted!r} is not a logical database; these are: {', '.join(groups) or 'none'}.")
    return [group for alias, group in groups.items() if wanted in (None, alias)]


def _recovered(result: Recovered) -> str:
    left = ", ".join(f"{count} on {shard}" for shard, count in result.left.items())
    text = f"{result.committed} committed, {result.rolled_back} rolled back"
    return f"{text}; still prepared: {left}" if left else text


def _require_all_ended(results: Iterable[Recovered]) -> None:
    errors = [f"{shard}: {error}" for result in results for shard, error in result.errors.items()]
    if errors:
        raise CommandError("Run it again when these answer: " + "; ".join(errors))
    if any(result.left for result in results):
        raise CommandError("Some are still prepared: the session that prepared them is there still. Run it again.")


def _sharded(label: str) -> Placement:
    try:
        model: type[Model] = apps.get_model(label)
    except (LookupError, ValueError) as error:
        raise CommandError(f"{label!r} is not an installed model (app.Model): {error}") from error
    placement = placement_of(model)
    if placement is None:
        raise CommandError(f"{model._meta.label} is not sharded: it has no class Sharding.")
    if not placement.sharded:
        raise CommandError(f"{model._meta.label} is a reference model: all shards of {placement.database!r} hold it.")
    return placement


def _parse(placement: Placement, texts: Sequence[str]) -> Any:
    names = ", ".join(field.name for field in placement.key)
    if len(texts) != len(placement.key):
        raise CommandError(f"The shard key of {placement.model._meta.label} is ({names}): give {len(placement.key)}.")
    try:
        parts = tuple(to_key_part(field, text) for field, text in zip(placement.key, texts, strict=True))
    except (ValidationError, HorizonShardsError, ValueError) as error:
        text = " ".join(error.messages) if isinstance(error, ValidationError) else str(error)
        raise CommandError(f"{' '.join(texts)!r} is not a value of {names}: {text}") from error
    return parts[0] if len(parts) == 1 else parts


def _find(placement: Placement, key: Any) -> dict[str, Any]:
    group = placement.group
    try:
        shard = next(iter(placement.shards_of_keys([key])), None)
        bucket = placement.bucket_of_key(key) if group.mapping.uses_buckets else None
    except HorizonShardsError as error:
        raise CommandError(str(error)) from error
    return {
        "model": placement.model._meta.label,
        "key": [str(part) for part in (key if isinstance(key, tuple) else (key,))],
        "database": group.alias,
        "shard": shard,
        "alias": None if shard is None else group.primaries[shard],
        "bucket": bucket,
    }


def _as_dict(state: GroupState) -> dict[str, Any]:
    return {**asdict(state), "reachable": state.reachable}


def _as_text(states: Iterable[GroupState]) -> str:
    return "\n\n".join(_table(state) for state in states) or "There are no logical databases in DATABASES."


def _table(state: GroupState) -> str:
    headings = tuple(state.unit if heading == "keys" else heading for heading in HEADINGS)
    lines = [headings, *(_cells(state, database) for database in state.databases)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headings))]
    rows = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join([f"{state.database} ({state.mapping})", *(f"  {row}" for row in rows), *_notes(state)])


def _cells(state: GroupState, database: DatabaseState) -> tuple[str, ...]:
    is_primary = database.role == "primary"
    lag = "?" if database.lag_seconds is None else f"{database.lag_seconds:g}"
    behind = "" if is_primary else f", lag {lag} s"
    answer = f"up, {database.answer_ms} ms{behind}" if database.reachable else "DOWN"
    counted = [count for count in database.rows.values() if count is not None]
    keys = state.keys.get(database.shard) if state.keys is not None and is_primary else None
    return (
        database.shard,
        database.role,
        database.alias,
        answer,
        str(sum(counted)) if counted else "-",
        "-" if keys is None else str(keys),
        "-" if database.pending_migrations is None else str(database.pending_migrations),
        "-" if database.prepared is None else str(database.prepared),
        "-" if database.connections is None else str(database.connections),
        "-" if database.connections is None else str(database.connections.own),
        "-" if database.most_connections is None else str(database.most_connections),
    )


def _notes(state: GroupState) -> list[str]:
    """Errors, and the rows of each model over all shards."""
    notes = [f"  {found.alias}: {found.error}" for found in state.databases if found.error is not None]
    notes += [f"  {state.unit}: {state.keys_error}"] if state.keys_error else []
    for label in {label: None for found in state.databases for label in found.rows}:
        counts = [found.rows.get(label) for found in state.databases if found.rows]
        missing = [found.alias for found in state.databases if found.rows and found.rows.get(label) is None]
        total = sum(count for count in counts if count is not None)
        notes.append(f"  {label}: {total} rows" + (f" (no table on {', '.join(missing)})" if missing else ""))
    return notes


def _require_answers(states: Iterable[GroupState]) -> None:
    down = [database.alias for state in states for database in state.databases if not database.reachable]
    if down:
        raise CommandError(f"Not reachable: {', '.join(down)}.")
