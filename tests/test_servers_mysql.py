"""A MySQL that is not installed: fetched by ``python -m tests.servers mysql fetch``, and a server of it for a while."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("MySQLdb", reason="needs MySQL's driver: pip install '.[mysql]'")

from tests.servers import mysql, unpacking
from tests.servers.processes import is_free

needs_programs = pytest.mark.skipif(not mysql.programs().exists(), reason="needs `python -m tests.servers mysql fetch`")


@needs_programs
def test_a_server_for_one_command_is_a_mysql_and_ends_with_it() -> None:
    code = (
        "import os, subprocess, sys; print(os.environ['SHARDS_PORT'], flush=True); "
        "sys.exit(subprocess.call([sys.executable, '-m', 'tests.servers']))"
    )
    command = [sys.executable, "-m", "tests.servers", "mysql", "run", "--", sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    port, version = done.stdout.splitlines()
    assert version.startswith("MySQL at admin@127.0.0.1: ")
    assert "MariaDB" not in version.partition(": ")[2]
    assert is_free(int(port))


@needs_programs
def test_the_exit_code_is_that_of_the_command() -> None:
    command = [sys.executable, "-m", "tests.servers", "mysql", "run", sys.executable, "-c", "raise SystemExit(7)"]
    assert subprocess.run(command, check=False).returncode == 7


@needs_programs
def test_it_has_time_zones(tmp_path: Path) -> None:
    with mysql.server(tmp_path / "mysql") as server:
        (row,) = server.sql("SELECT CONVERT_TZ('2026-01-01 12:00', 'UTC', 'Asia/Kathmandu') AS there")
    assert str(row["there"]) == "2026-01-01 17:45:00"


def test_what_is_unpacked_already_is_not_fetched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    unpacking.unpack(["mysql-server-core"], tmp_path, release="sid")
    with pytest.raises(RuntimeError, match="apt-get is missing"):
        unpacking.unpack(["mysql-server-core"], tmp_path / "new", release="sid")
    assert not (tmp_path / "new").exists()


def test_a_program_that_fails_is_an_error_with_what_it_said() -> None:
    with pytest.raises(RuntimeError, match="no such thing"):
        unpacking.run(sys.executable, "-c", "raise SystemExit('no such thing')")
