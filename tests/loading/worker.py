"""A loader that kills itself: ``-m tests.loading.worker FOLDER ID``, when it has inserted that row; 0: never."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import django

ROOT = Path(__file__).resolve().parents[2]


def main(folder: str, kill_at: int) -> None:
    """Make the tables unless they are there, load, and die in the middle."""
    from django.core.management import call_command
    from django.db import connection

    # The other loader may be slow: what is tested is that they wait, not for how long.
    connection.settings_dict["OPTIONS"]["timeout"] = 300
    if "sinks_storedhit" not in connection.introspection.table_names():
        call_command("migrate", run_syncdb=True, verbosity=0)

    def die(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        result = execute(sql, params, many, context)
        if kill_at and sql.startswith('INSERT INTO "sinks_storedhit"') and kill_at in params:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    with connection.execute_wrapper(die):
        call_command("load_firehose", folder, "--database=default", "--into=sinks.Hit=sinks.StoredHit", verbosity=0)


def start(folder: Path, *, kill_at: int = 0) -> subprocess.Popen[bytes]:
    """Load ``folder/objects`` into the databases of ``folder``."""
    command = [sys.executable, "-m", "tests.loading.worker", str(folder / "objects"), str(kill_at)]
    environment = {**os.environ, "SHARDS_TEST_FOLDER": str(folder), "DJANGO_SETTINGS_MODULE": "tests.settings"}
    environment.pop("SHARDS_ENGINE", None)
    return subprocess.Popen(command, cwd=ROOT, env=environment)


def state(folder: Path) -> tuple[int, int, int]:
    """Rows, events, and objects that are loaded."""
    database = sqlite3.connect(folder / "default.sqlite3")
    rows, events = database.execute("SELECT COUNT(*), COUNT(DISTINCT event_id) FROM sinks_storedhit").fetchone()
    done = database.execute("SELECT COUNT(*) FROM horizon_loaded_object WHERE digest <> 'lock'").fetchone()[0]
    database.close()
    return rows, events, done


if __name__ == "__main__":
    django.setup()
    main(sys.argv[1], int(sys.argv[2]))
