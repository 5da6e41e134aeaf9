"""Django's ``showmigrations``, which on a logical database compares the shards."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from django.core.management.base import CommandError
from django.core.management.commands.showmigrations import Command as DjangoShowMigrations
from django.db.migrations.loader import MigrationLoader

from horizon_shards.exceptions import ConfigurationError
from horizon_shards.rollout import ShardMigrations, read_migrations
from horizon_shards.rollout.drift import state_of
from horizon_shards.rollout.status import Key
from horizon_shards.topology import Group, get_topology


class Command(DjangoShowMigrations):
    """``[X]`` on all shards, ``[ ]`` on none, ``[~]`` on some, with the names of the shards that lack it."""

    def handle(self, *args: Any, **options: Any) -> str | None:
        """Show the migrations; raise ``CommandError`` naming the shards that did not answer."""
        try:
            group = get_topology().groups.get(options["database"])
        except ConfigurationError as error:
            raise CommandError(str(error)) from error
        if group is None:
            return super().handle(*args, **options)
        self._show(group, options)
        return None

    def _show(self, group: Group, options: Mapping[str, Any]) -> None:
        loader = MigrationLoader(None, ignore_no_migrations=True)
        labels: Sequence[str] = options["app_label"]
        if labels:
            self._validate_app_names(loader, labels)  # type: ignore[attr-defined]
        shards = read_migrations(group)
        if options["format"] == "plan":
            self._show_in_order(loader, labels, shards)
        else:
            for label in labels or sorted(loader.migrated_apps):
                self._show_app(loader, label, shards)
        _require_answers(shards.values())

    def _show_app(self, loader: MigrationLoader, label: str, shards: Mapping[str, ShardMigrations]) -> None:
        self.stdout.write(label, self.style.MIGRATE_LABEL)
        keys = list(_in_order(loader, [key for key in loader.graph.leaf_nodes() if key[0] == label]))
        for key in keys:
            if key[0] == label:
                self.stdout.write(f" {_line(loader, key, key[1], shards)}")
        if not keys:
            self.stdout.write(" (no migrations)", self.style.ERROR)

    def _show_in_order(
        self, loader: MigrationLoader, labels: Sequence[str], shards: Mapping[str, ShardMigrations]
    ) -> None:
        targets = [key for key in loader.graph.leaf_nodes() if not labels or key[0] in labels]
        for key in _in_order(loader, targets):
            self.stdout.write(_line(loader, key, ".".join(key), shards))
        if not targets:
            self.stdout.write("(no migrations)", self.style.ERROR)


def _in_order(loader: MigrationLoader, targets: Iterable[Key]) -> Iterator[Key]:
    return iter(dict.fromkeys(key for target in targets for key in loader.graph.forwards_plan(target)))


def _line(loader: MigrationLoader, key: Key, title: str, shards: Mapping[str, ShardMigrations]) -> str:
    state = state_of(key, shards)
    if replaces := loader.graph.nodes[key].replaces:
        title += f" ({len(replaces)} squashed migrations)"
    if state.mark == "-":
        title += " Run 'manage.py migrate' to finish recording."
    if state.missing:
        title += f" (missing on {', '.join(state.missing)})"
    return f"[{state.mark}] {title}"


def _require_answers(shards: Iterable[ShardMigrations]) -> None:
    failed = [f"  {shard.shard} ({shard.alias}): {shard.error}" for shard in shards if shard.error is not None]
    if failed:
        raise CommandError("These shards did not answer, and are not in the list above:\n" + "\n".join(failed))
