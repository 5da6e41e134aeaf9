"""A project of its own for each test of the pytest plugin, and what a run of it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import horizon_shards

SETTINGS = """
from pathlib import Path

HERE = Path(__file__).parent

def sqlite(name):
    entry = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(HERE / f"real_{name}.sqlite3")}
    return {**entry, "TEST": {"NAME": str(HERE / f"test_{name}.sqlite3")}}

SECRET_KEY = "x"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = ["horizon_shards", "shop"]
DATABASES = {
    "default": sqlite("default"),
    "track": {
        "ENGINE": "horizon_shards.backends.sharded",
        "SHARDS": {f"s{n}": {"PRIMARY": f"track_{n}"} for n in (1, 2, 3)},
        "MAPPING": {"OPTIONS": {"BUCKETS": 32}},
        "DIRECTORY": "directory",
        "SCATTER": "allow",
    },
    "crm": {
        "ENGINE": "horizon_shards.backends.sharded",
        "SHARDS": {f"c{n}": {"PRIMARY": f"crm_{n}"} for n in (1, 2)},
        "MAPPING": {"BACKEND": "horizon_shards.mapping.DirectoryMapping"},
        "DIRECTORY": "directory",
        "SCATTER": "allow",
    },
    **{f"track_{n}": sqlite(f"track_{n}") for n in (1, 2, 3)},
    **{f"crm_{n}": sqlite(f"crm_{n}") for n in (1, 2)},
    "directory": sqlite("directory"),
}
DATABASE_ROUTERS = ["horizon_shards.routers.ShardRouter"]
"""

MODELS = """
from django.db import models
from horizon_shards.fields import ShardedIdField
from horizon_shards.models import ShardedModel

class View(ShardedModel):
    id = ShardedIdField(primary_key=True)
    site = models.IntegerField()

    class Meta:
        app_label = "shop"

    class Sharding:
        database = "track"
        key = "site"

class Customer(ShardedModel):
    id = ShardedIdField(primary_key=True)
    tenant = models.CharField(max_length=50)

    class Meta:
        app_label = "shop"

    class Sharding:
        database = "crm"
        key = "tenant"
"""

PLACEMENT_TEST = """
import pytest
from horizon_shards.topology import get_group

@pytest.mark.django_db(databases=["track", "crm"])
def test_say_placement():
    track, crm = get_group("track").mapping, get_group("crm").mapping
    keys = range(40)
    print("PLACED", "".join(track.place(key)[1] + crm.place(str(key))[1] for key in keys))
"""

DJANGO_TESTS = """
from django.test import TestCase, TransactionTestCase
from shop.models import View

class OneTests(TestCase):
    databases = {aliases}

    def test(self):
        View.objects.bulk_create([View(site=site) for site in range(20)])
        assert View.objects.count() == 20

class OtherTests(TransactionTestCase):
    databases = {aliases}

    def test(self):
        assert View.objects.count() == 0
        View.objects.bulk_create([View(site=site) for site in range(20)])

    test_again = test
"""


@pytest.fixture
def environment(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A folder in which the tested package and pytest-django can be imported, and no settings are named."""
    paths = [str(Path(horizon_shards.__file__).parent.parent), str(pytester.path)]
    monkeypatch.setenv("PYTHONPATH", ":".join(paths))
    monkeypatch.delenv("DJANGO_SETTINGS_MODULE", raising=False)
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    return pytester


@pytest.fixture
def project(environment: pytest.Pytester) -> pytest.Pytester:
    """A small project with two groups of shards, whose real databases do not exist."""
    environment.makepyfile(project_settings=SETTINGS)
    environment.mkpydir("shop").joinpath("models.py").write_text(MODELS)
    environment.makeini("[pytest]\nDJANGO_SETTINGS_MODULE = project_settings\nfilterwarnings = error")
    return environment


def run(project: pytest.Pytester, *args: str) -> pytest.RunResult:
    return project.runpytest_subprocess("-p", "horizon_shards.pytest_plugin", *args)


def real_databases(project: pytest.Pytester) -> list[str]:
    """The developer's own databases that exist: SQLite makes a file when it is opened."""
    return sorted(path.name for path in project.path.glob("real_*"))


def placed(result: pytest.RunResult) -> str:
    found = re.search(r"PLACED (\d+)", result.stdout.str())
    assert found is not None, result.stdout.str()
    return found[1]
