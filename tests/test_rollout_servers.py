"""``migrate`` and ``shards`` on shards in a server: the one that ``SHARDS_ENGINE`` names."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import settings
from tests.shard_project import SHARDS, Project

pytestmark = pytest.mark.skipif(settings.ENGINE == "sqlite", reason="needs a server: set SHARDS_ENGINE")

ON_SERVER = """
import os
os.environ["SHARDS_TEST_FOLDER"] = str(FOLDER)
from tests.settings import server
DATABASES.update({f"track_{n}": {**server(f"rollout_{n}"), "TEST": {}} for n in (1, 2, 3)})
"""
EACH = """
from django.db import connections
for n in (1, 2, 3):
    wrapper = connections[f"track_{n}"]
    with type(wrapper)({**wrapper.settings_dict, "NAME": None}, "server").cursor() as cursor:
        cursor.execute(f"%s DATABASE %s horizon_rollout_{n}")
"""
#: The directory on the server as well, whose connections a process keeps.
KEPT = """
DATABASES["directory"] = {**server("rollout_directory"), "CONN_MAX_AGE": 600, "TEST": {}}
"""
TESTS = """
from django.test import TestCase
from tests.rollout_app.models import Page


class T(TestCase):
    databases = {"default", "directory", "track"}

    def test_it(self):
        Page.objects.bulk_create([Page(site=n, path="/") for n in range(20)])
        assert Page.objects.filter(site=7).count() == 1
"""
NAMES = (
    "from django.db import connections\nfrom django.db.migrations.recorder import MigrationRecorder\n"
    "print([sum(app == 'rollout_app' for app, _ in MigrationRecorder(connections[f'track_{n}']).applied_migrations()) "
    "for n in (1, 2, 3)])"
)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """A project whose shards are three empty databases of the server."""
    made = Project(tmp_path, ON_SERVER)
    made.python(EACH % ("DROP", "IF EXISTS"))
    made.python(EACH % ("CREATE", ""))
    made.manage("migrate", "--database=directory", "-v0")
    yield made
    made.set(ON_SERVER)
    made.python(EACH % ("DROP", "IF EXISTS"))


def test_failure_and_resume(project: Project) -> None:
    project.manage("migrate", "rollout_app", "0001", "--database=track", "-v0")
    project.python(
        "from tests.rollout_app.models import Page\n"
        "Page.objects.bulk_create([Page(site=n, path='/') for n in range(30)])\n"
        "from django.db import connections\n"
        "with connections['track_2'].cursor() as cursor: cursor.execute('CREATE TABLE marker (id INTEGER)')"
    )
    result = project.manage("migrate", "--database=track", fails=True)
    assert "track-2 (track_2): RuntimeError: a marker is in track_2" in result.stderr
    assert project.python(NAMES) == "[4, 3, 4]\n"
    project.python(
        "from django.db import connections\n"
        "with connections['track_2'].cursor() as cursor: cursor.execute('DROP TABLE marker')"
    )
    project.manage("migrate", "--database=track")
    assert project.python(NAMES) == "[4, 4, 4]\n"
    copied = project.python(
        "from horizon_shards import using_shard\nfrom tests.rollout_app.models import Copy, Page\n"
        f"for shard in {SHARDS!r}:\n"
        "    with using_shard(shard):\n"
        "        pages = sorted(Page.objects.values_list('site', flat=True))\n"
        "        print(pages == sorted(Copy.objects.filter(path='!').values_list('site', flat=True)), len(pages) > 0)"
    )
    assert copied == "True True\n" * 3


def test_drift_and_states(project: Project) -> None:
    project.manage("migrate", "rollout_app", "0001", "--database=track", "-v0")
    project.manage("migrate", "rollout_app", "--database=track_3", "-v0")
    shown = project.manage("showmigrations", "rollout_app", "--database=track").stdout
    assert " [~] 0004_fragile (missing on track-1, track-2)" in shown
    (found,) = json.loads(project.manage("shards", "--json").stdout)
    assert [state["pending_migrations"] for state in found["databases"]] == [7, 7, 4]
    assert all(state["rows"] == {"rollout_app.Page": 0, "rollout_app.Copy": 0} for state in found["databases"])


def test_a_server_that_is_down_is_named(project: Project) -> None:
    project.set(f"{ON_SERVER}\nDATABASES['track_1']['PORT'] = '1'\nDATABASES['track_1']['HOST'] = '127.0.0.1'")
    result = project.manage("migrate", "--database=track", fails=True)
    assert "track-1 (track_1): OperationalError" in result.stderr
    assert "DOWN" in project.manage("shards").stdout
    project.set(ON_SERVER)
    assert project.python(NAMES) == "[0, 4, 4]\n"


def test_test_databases_are_dropped_though_connections_to_the_directory_are_kept(project: Project) -> None:
    project.set(ON_SERVER + KEPT)
    (project.folder / "tests_of_project.py").write_text(TESTS)
    assert "OK" in project.manage("test", "tests_of_project", "-v0", "--noinput").stderr
