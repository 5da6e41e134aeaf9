"""Django's own commands on a logical alias: they work, or refuse and name the command to use."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.db import connections

from horizon_shards import allow_scatter
from horizon_shards.topology import get_group
from tests.shard_project import Project
from tests.shop.models import Country, Site, Visitor

EVERYTHING = ["default", "directory", "track", "crm", "log"]
SHARDS = ("track-1", "track-2", "track-3", "track-4")


def run(*args: str, **options: Any) -> str:
    output = io.StringIO()
    call_command(*args, stdout=output, **options)
    return output.getvalue()


def fill() -> None:
    """Twenty visitors of twenty sites, and a country on every shard."""
    sites = [Site.objects.create(name=f"s{n}") for n in range(20)]
    Visitor.objects.bulk_create([Visitor(site=site, name=site.name) for site in sites])
    Country.objects.create(code="de", name="Germany")


def on_shards(model: Any) -> dict[str, int]:
    """The rows of each shard."""
    found = {}
    for shard in SHARDS:
        connection: Any = connections["track"]
        with connection.shard_connection(shard).cursor() as cursor:
            cursor.execute(f"SELECT COUNT(*) FROM {model._meta.db_table}")
            found[shard] = cursor.fetchone()[0]
    return found


@pytest.mark.django_db(databases=EVERYTHING, transaction=True)
class TestFlush:
    def test_flush_empties_every_shard(self) -> None:
        fill()
        assert sum(on_shards(Visitor).values()) == 20
        run("flush", "--database=track", "--no-input")
        assert on_shards(Visitor) == dict.fromkeys(SHARDS, 0)
        assert on_shards(Country) == dict.fromkeys(SHARDS, 0)
        assert Site.objects.count() == 20

    def test_flush_of_one_shard(self) -> None:
        fill()
        before = on_shards(Visitor)
        full = max(before, key=lambda shard: before[shard])
        run("flush", f"--database={get_group('track').primaries[full]}", "--no-input")
        assert on_shards(Visitor) == {**before, full: 0}

    def test_sqlflush_prints_what_flush_does(self) -> None:
        assert "shop_visitor" in run("sqlflush", "--database=track")

    def test_shards_are_asked_in_threads_where_no_transaction_is_open(self) -> None:
        fill()
        (found,) = json.loads(run("shards", database="track", json=True))
        assert sum(state["rows"]["shop.Visitor"] for state in found["databases"]) == 20


@pytest.mark.django_db(databases=EVERYTHING)
class TestDumpAndLoad:
    def test_what_was_dumped_is_loaded_to_the_shards_of_its_keys(self, tmp_path: Path) -> None:
        fill()
        before = on_shards(Visitor)
        path = tmp_path / "track.json"
        run("dumpdata", "shop", "--database=track", f"--output={path}")
        rows = json.loads(path.read_text())
        assert sum(row["model"] == "shop.visitor" for row in rows) == 20
        assert sum(row["model"] == "shop.country" for row in rows) == 1
        assert not any(row["model"] == "shop.site" for row in rows)
        with allow_scatter():
            Visitor.objects.all().delete()
            Country.objects.all().delete()
        assert "21 object(s)" in run("loaddata", str(path), "--database=track")
        assert on_shards(Visitor) == before
        assert on_shards(Country) == dict.fromkeys(SHARDS, 1)

    def test_loading_twice_changes_nothing(self, tmp_path: Path) -> None:
        fill()
        before = on_shards(Visitor)
        path = tmp_path / "track.json"
        run("dumpdata", "shop", "--database=track", f"--output={path}")
        run("loaddata", str(path), "--database=track")
        assert on_shards(Visitor) == before
        assert on_shards(Country) == dict.fromkeys(SHARDS, 1)

    def test_a_dump_of_one_shard_holds_its_rows(self) -> None:
        fill()
        for shard, count in on_shards(Visitor).items():
            rows = json.loads(run("dumpdata", "shop.Visitor", f"--database={get_group('track').primaries[shard]}"))
            assert len(rows) == count

    def test_rows_of_other_databases_are_not_loaded(self, tmp_path: Path) -> None:
        path = tmp_path / "site.json"
        path.write_text(json.dumps([{"model": "shop.site", "pk": 1, "fields": {"name": "x"}}]))
        # Django tells by a warning that a fixture had nothing for this database.
        run("loaddata", str(path), "--database=track")
        assert not Site.objects.exists()


@pytest.mark.django_db(databases=EVERYTHING)
class TestLooking:
    def test_dbshell_refuses_and_names_the_databases_to_use(self) -> None:
        with pytest.raises(CommandError, match="--database=track_1, --database=track_2"):
            run("dbshell", "--database=track")

    def test_inspectdb_reads_one_shard(self) -> None:
        output = run("inspectdb", "shop_visitor", "shop_visit", "--database=track")
        assert "class ShopVisitor(models.Model):" in output
        assert "visitor = models.ForeignKey" in output
        assert "Unable to inspect" not in output

    def test_inspectdb_knows_no_unsharded_table(self) -> None:
        assert "class ShopSite" not in run("inspectdb", "--database=track")

    def test_check_of_the_logical_database(self, settings: Any) -> None:
        # Of the tests of composite foreign keys, where full_clean() has to look by itself.
        settings.SILENCED_SYSTEM_CHECKS = ["horizon_shards.W314"]
        assert "no issues" in run("check", "--database=track")

    def test_createcachetable_makes_none_on_shards(self, settings: Any) -> None:
        location = {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "cached"}
        settings.CACHES = {"default": location}
        with pytest.raises(CommandError, match="use createcachetable --database=default"):
            run("createcachetable", "--database=track")
        run("createcachetable", "--database=track_1")
        run("createcachetable", "--database=default")
        cache.set("a", 1)
        assert cache.get("a") == 1
        assert "cached" in connections["default"].introspection.table_names()
        for shard in SHARDS:
            connection: Any = connections["track"]
            assert "cached" not in connection.shard_connection(shard).introspection.table_names()

    def test_migrate_inside_a_test_runs_in_the_calling_thread(self) -> None:
        output = run("migrate", "--database=track")
        assert len(re.findall("nothing to do", output)) == 4


class TestInAProject:
    """With migrations of its own."""

    @pytest.fixture
    def project(self, tmp_path: Path) -> Project:
        made = Project(tmp_path)
        made.manage("migrate", "--database=directory", "-v0")
        return made

    def test_sqlmigrate_prints_what_a_shard_is_sent(self, project: Project) -> None:
        output = project.manage("sqlmigrate", "rollout_app", "0001", "--database=track").stdout
        assert 'CREATE TABLE "rollout_app_page"' in output
        assert "rollout_app_setting" not in output
        assert output == project.manage("sqlmigrate", "rollout_app", "0001", "--database=track_1").stdout
        assert (
            "UPDATE rollout_app_copy" in project.manage("sqlmigrate", "rollout_app", "0003", "--database=track").stdout
        )

    def test_sqlmigrate_prints_the_tables_of_the_directory_elsewhere_only(self, project: Project) -> None:
        args = ("sqlmigrate", "horizon_shards", "0001")
        assert "CREATE TABLE" in project.manage(*args, "--database=directory").stdout
        assert "CREATE TABLE" not in project.manage(*args, "--database=track").stdout

    def test_makemigrations_is_content_with_shards_that_differ(self, project: Project) -> None:
        project.manage("migrate", "--database=track", "-v0")
        project.manage("migrate", "rollout_app", "0001", "--database=track_2", "-v0")
        result = project.manage("makemigrations", "--check", "--dry-run")
        assert result.stdout == "No changes detected\n"
        assert result.stderr == ""

    def test_optimizemigration_and_squashmigrations_need_no_database(self, project: Project) -> None:
        project.manage("optimizemigration", "rollout_app", "0001", "--check")

    def test_the_schema_editor_of_the_logical_database_changes_every_shard(self, project: Project) -> None:
        project.python(
            "from django.db import connections\nfrom tests.rollout_app.models import Page\n"
            "with connections['track'].schema_editor() as editor: editor.create_model(Page)"
        )
        assert all("rollout_app_page" in project.tables(f"track_{n}") for n in (1, 2, 3))

    def test_testserver_and_test_databases(self, project: Project) -> None:
        (project.folder / "tests_of_project.py").write_text(
            "from django.test import TestCase\nfrom tests.rollout_app.models import Page\n\n\n"
            "class T(TestCase):\n    databases = {'default', 'track'}\n\n    def test_it(self):\n"
            "        Page.objects.create(site=1, path='/')\n        assert Page.objects.filter(site=1).count() == 1\n"
        )
        result = project.manage("test", "tests_of_project", "-v0")
        assert "OK" in result.stderr
        assert not (project.folder / "track_1.sqlite3").exists() or "rollout_app_page" not in project.tables("track_1")
