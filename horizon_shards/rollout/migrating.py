"""Django's own ``migrate``, run on every shard of a group."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from io import StringIO
from typing import Any

from django.apps import apps
from django.core.management.commands.migrate import Command as DjangoMigrate
from django.db import OperationalError
from django.db.migrations import Migration
from django.db.migrations.loader import MigrationLoader
from django.db.models.signals import pre_migrate

from horizon_shards.conf import ShardConfig
from horizon_shards.directory.retry import is_lock
from horizon_shards.rollout.locking import migrating_alone
from horizon_shards.rollout.progress import Progress
from horizon_shards.rollout.shards import on_each_shard
from horizon_shards.topology import Group


@dataclass(frozen=True)
class ShardOutcome:
    """What became of one shard: what Django's command printed, its error or None, its exit status."""

    shard: str
    alias: str
    output: str
    error: str | None = None
    exit_status: int = 0


class MigrateOneShard(DjangoMigrate):
    """Django's command, which tells ``progress`` of each step."""

    def __init__(self, shard: str, progress: Progress, output: StringIO) -> None:
        super().__init__(stdout=output, stderr=output, no_color=True)
        self.shard = shard
        self.progress = progress

    def migration_progress_callback(self, action: str, migration: Migration | None = None, fake: bool = False) -> None:
        """Called by Django's executor before and after each migration."""
        super().migration_progress_callback(action, migration, fake)
        if action in ("apply_start", "unapply_start"):
            self.progress.step(self.shard, str(migration))
        elif action in ("apply_success", "unapply_success"):
            self.progress.stepped(self.shard)


def migrate_shards(
    group: Group, options: Mapping[str, Any], *, parallel: int, progress: Progress, is_reading: bool = False
) -> dict[str, ShardOutcome]:
    """Run Django's ``migrate`` with ``options`` on the primary of each shard; outcomes by shard name.

    A shard that fails does not stop the others. Each keeps its own ``django_migrations``, so the same call
    goes on where each shard stopped. Each is locked against another ``migrate``, unless ``is_reading``. The canary
    shard goes first and alone; where it fails the others are not begun.
    """

    def work(shard: ShardConfig) -> ShardOutcome:
        with ExitStack() as stack:
            if not is_reading:
                stack.enter_context(_alone(group, shard))
            return _migrate(shard, options, progress)

    def safely(shard: ShardConfig) -> ShardOutcome:
        try:
            return work(shard)
        except OperationalError as error:  # of the lock
            progress.end(shard.name, error=_one_line(error))
            return ShardOutcome(shard.name, shard.primary, "", _one_line(error), 1)

    # Modules are imported once here, not by several threads at the same time.
    MigrationLoader(None, ignore_no_migrations=True)
    with _counting(group, progress):
        canary = group.config.migrate.canary if not is_reading else None
        first = on_each_shard(group, safely, parallel=1, shards=[canary]) if canary else {}
        if any(outcome.error for outcome in first.values()):
            return first
        rest = [name for name in group.shard_names if name not in first]
        return {**first, **on_each_shard(group, safely, parallel=parallel, tick=progress.draw, shards=rest)}


def _alone(group: Group, shard: ShardConfig) -> AbstractContextManager[None]:
    config = group.config.migrate
    return migrating_alone(
        shard.primary, wait_seconds=config.wait_seconds, lock_timeout_seconds=config.lock_timeout_seconds
    )


def _migrate(shard: ShardConfig, options: Mapping[str, Any], progress: Progress) -> ShardOutcome:
    output = StringIO()
    command = MigrateOneShard(shard.name, progress, output)
    progress.start(shard.name)
    error, status = _run(command, shard, options, output)
    progress.end(shard.name, error=error)
    return ShardOutcome(shard.name, shard.primary, output.getvalue(), error, status)


def _run(
    command: DjangoMigrate, shard: ShardConfig, options: Mapping[str, Any], output: StringIO
) -> tuple[str | None, int]:
    own = {
        **options,
        "database": shard.primary,
        "interactive": False,
        # So that there is something to show when it fails.
        "verbosity": max(1, options["verbosity"]),
    }
    try:
        command.handle(**own)
    except SystemExit as stopped:  # how Django's command answers --check
        return None, int(stopped.code or 0)
    except Exception as error:
        if options.get("traceback"):
            output.write(traceback.format_exc())
        return _one_line(error), 1
    return None, 0


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    if isinstance(error, OperationalError) and is_lock(error):
        text += ". A transaction holds the table: end it, or raise MIGRATE['LOCK_TIMEOUT_SECONDS']"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


@contextmanager
def _counting(group: Group, progress: Progress) -> Iterator[None]:
    """Learn from Django's own signal how many migrations each shard has before it."""
    shard_of = {shard.primary: shard.name for shard in group.shards.values()}

    def planned(*, using: str, plan: list[Any], **kwargs: Any) -> None:
        if using in shard_of:
            progress.expect(shard_of[using], len(plan))

    with _connected(planned):
        yield


@contextmanager
def _connected(receiver: Callable[..., None]) -> Iterator[None]:
    sender = apps.get_app_config("horizon_shards")
    pre_migrate.connect(receiver, sender=sender, weak=False)
    try:
        yield
    finally:
        pre_migrate.disconnect(receiver, sender=sender)
