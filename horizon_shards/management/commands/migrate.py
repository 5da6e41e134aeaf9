"""Django's ``migrate``, which on a logical database migrates every shard."""

from __future__ import annotations

import sys
from argparse import ArgumentTypeError
from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.core.management.commands.migrate import Command as DjangoMigrate

from horizon_shards import context
from horizon_shards.conf import MigrateConfig
from horizon_shards.exceptions import ConfigurationError
from horizon_shards.rollout import ShardOutcome, migrate_shards
from horizon_shards.rollout.locking import migrating_alone
from horizon_shards.rollout.progress import Progress
from horizon_shards.topology import Group, get_topology

DEFAULT_PARALLEL = 4


class Command(DjangoMigrate):
    """``--database`` of a logical alias: every shard. Of a shard's own alias: that one, pinned. Else: Django's."""

    def add_arguments(self, parser: CommandParser) -> None:
        """Django's options, and how many shards at once."""
        super().add_arguments(parser)
        parser.add_argument(
            "--shards-parallel",
            type=_count,
            default=DEFAULT_PARALLEL,
            metavar="N",
            help=f"On a logical database: how many shards are migrated at once (default {DEFAULT_PARALLEL}).",
        )

    def handle(self, *args: Any, **options: Any) -> str | None:
        """Migrate; raise ``CommandError`` naming the shards that failed."""
        try:
            topology = get_topology()
        except ConfigurationError as error:
            raise CommandError(f"Nothing was migrated: {error}") from error
        group = topology.groups.get(options["database"])
        if group is not None:
            self._handle_shards(group, options)
            return None
        with ExitStack() as stack:
            if (owner := topology.physical.get(options["database"])) is not None:
                stack.enter_context(context.using_shard(owner[1].name, database=owner[0].alias))
                stack.enter_context(context.allow_one_copy())
                if not _only_looks(options):
                    config = owner[0].config.migrate
                    stack.enter_context(_alone(options["database"], config))
            return super().handle(*args, **options)

    def _handle_shards(self, group: Group, options: Mapping[str, Any]) -> None:
        parallel = options.get("shards_parallel") or DEFAULT_PARALLEL
        quiet = options["verbosity"] < 1 or _only_looks(options)
        if not quiet:
            names = f"{len(group.shards)} shards" if len(group.shards) > 1 else "1 shard"
            self.stdout.write(self.style.MIGRATE_HEADING(f"Migrating {names} of {group.alias!r}:"))
        progress = Progress(group.shard_names, stdout=None if quiet else self.stdout)
        outcomes = migrate_shards(group, options, parallel=parallel, progress=progress, is_reading=_only_looks(options))
        self._show(outcomes, options)
        self._fail(group, outcomes)
        self._check(outcomes, options)

    def _show(self, outcomes: Mapping[str, ShardOutcome], options: Mapping[str, Any]) -> None:
        """What Django printed: asked for, or on failure; shards with the same text together."""
        everything = options["verbosity"] >= 2 or (_only_looks(options) and not options["check_unapplied"])
        everything = everything or options["plan"]
        same: dict[str, list[str]] = {}
        for outcome in outcomes.values():
            if outcome.output and (everything or outcome.error is not None):
                same.setdefault(outcome.output, []).append(outcome.shard)
        for output, shards in same.items():
            self.stdout.write(self.style.MIGRATE_LABEL(f"{', '.join(shards)}:"))
            self.stdout.write(output)

    def _fail(self, group: Group, outcomes: Mapping[str, ShardOutcome]) -> None:
        failed = [outcome for outcome in outcomes.values() if outcome.error is not None]
        if not failed:
            return
        listed = "\n".join(f"  {outcome.shard} ({outcome.alias}): {outcome.error}" for outcome in failed)
        others = "The others are done." if len(outcomes) == len(group.shards) else "It goes first: no other was begun."
        raise CommandError(
            f"{len(failed)} of {len(outcomes)} shards of {group.alias!r} were not migrated:\n{listed}\n"
            f"{others} Put the cause right and run the same command again: each shard goes on where it stopped."
        )

    def _check(self, outcomes: Mapping[str, ShardOutcome], options: Mapping[str, Any]) -> None:
        behind = [outcome.shard for outcome in outcomes.values() if outcome.exit_status]
        if not behind:
            return
        if options["verbosity"] >= 1:
            self.stdout.write(f"Unapplied migrations on {', '.join(behind)}.")
        sys.exit(1)


def _alone(alias: str, config: MigrateConfig) -> AbstractContextManager[None]:
    return migrating_alone(alias, wait_seconds=config.wait_seconds, lock_timeout_seconds=config.lock_timeout_seconds)


def _only_looks(options: Mapping[str, Any]) -> bool:
    return bool(options["plan"] or options["check_unapplied"] or options["prune"])


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise ArgumentTypeError(f"{text!r} is not a whole number of at least 1.")
    return int(text)
