"""``manage.py shards`` and ``shards where``."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from horizon_shards import allow_cross_shard
from horizon_shards.directory import Directory
from horizon_shards.models import Assignment
from horizon_shards.topology import get_group
from tests.changed_databases import databases
from tests.shard_project import Project
from tests.shop.models import Country, Customer, Site, Visitor

EVERYTHING = ["default", "directory", "track", "crm", "log"]


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """No mapping remembers what an earlier test stored and rolled back."""
    for alias in ("track", "crm"):
        get_group(alias).mapping.clear_cache()
    yield
    for alias in ("track", "crm"):
        get_group(alias).mapping.clear_cache()


def shards(*args: str, **options: Any) -> str:
    output = io.StringIO()
    call_command("shards", *args, stdout=output, **options)
    return output.getvalue()


def as_json(**options: Any) -> dict[str, Any]:
    """The groups by alias."""
    return {group["database"]: group for group in json.loads(shards(json=True, **options))}


@pytest.mark.shards(fresh_directory=True)
@pytest.mark.django_db(databases=EVERYTHING)
class TestStates:
    def test_rows_keys_and_pending_migrations_of_every_shard(self) -> None:
        site = Site.objects.create(name="a")
        Visitor.objects.bulk_create([Visitor(site=site, name=str(n)) for n in range(3)])
        Country.objects.create(code="de", name="Germany")
        found = as_json(database="track")["track"]
        home = get_group("track").mapping.resolve(site.pk)
        assert [state["shard"] for state in found["databases"]] == ["track-1", "track-2", "track-3", "track-4"]
        for state in found["databases"]:
            assert (state["role"], state["reachable"], state["error"]) == ("primary", True, None)
            assert state["rows"]["shop.Visitor"] == (3 if state["shard"] == home else 0)
            assert state["rows"]["shop.Country"] == 1
            assert state["pending_migrations"] == 0
        assert found["unit"] == "buckets"
        assert sum(found["keys"].values()) == 64
        assert "shop.Site" not in found["databases"][0]["rows"]

    def test_assigned_keys(self) -> None:
        with allow_cross_shard():
            Customer.objects.bulk_create([Customer(tenant=f"t{n}", name="x") for n in range(10)])
        found = as_json(database="crm")["crm"]
        assert found["unit"] == "keys"
        assert sum(found["keys"].values()) == 10
        assert found["keys"]["crm-full"] == 0
        assert found["keys"] == {state["shard"]: state["rows"]["shop.Customer"] for state in found["databases"]}

    def test_all_groups_as_text(self) -> None:
        text = shards()
        assert [line.split()[0] for line in text.splitlines() if line and line[0] != " "] == ["track", "crm", "log"]
        (row,) = [line.split() for line in text.splitlines() if line.split()[:1] == ["crm-full"]]
        assert row[:4] == ["crm-full", "primary", "crm_full", "up,"]
        assert row[-7:] == ["0", "0", "0", "-", "-", "-", "-"]
        assert "shop.Customer: 0 rows" in text

    def test_rows_need_not_be_counted(self) -> None:
        found = as_json(no_rows=True)
        assert all(state["rows"] == {} for group in found.values() for state in group["databases"])

    def test_reading_the_state_stores_nothing(self) -> None:
        shards()
        assert Directory("directory", database="track").bucket_table() == ()
        assert not Assignment.objects.using("directory").exists()

    def test_an_unknown_database(self) -> None:
        with pytest.raises(CommandError, match="'trak' is not a logical database; these are: track, crm, log"):
            shards(database="trak")
        with pytest.raises(CommandError, match="'track_1' is not a logical database"):
            shards(database="track_1")


@pytest.mark.shards(fresh_directory=True)
@pytest.mark.django_db(databases=EVERYTHING)
class TestWhere:
    def test_a_key_by_bucket(self) -> None:
        mapping = get_group("track").mapping
        shard = mapping.resolve(7)
        alias = str(shard).replace("-", "_")
        assert shards("where", "shop.Visitor", "7") == (
            f"7 is on {shard} (database {alias}, bucket {mapping.bucket(7)}).\n"
        )

    def test_a_negative_key_and_zero(self) -> None:
        for key in (-5, 0):
            found = json.loads(shards("where", "shop.Visitor", str(key), "--json"))
            assert found["shard"] == get_group("track").mapping.resolve(key)

    def test_a_composite_key(self) -> None:
        text = shards("where", "shop.entry", "eu", "2026-11-22")
        assert text.startswith("('eu', datetime.date(2026, 11, 22)) is on log-")

    def test_a_sharded_id_as_key(self) -> None:
        from tests.shop.models import Account

        account = Account.objects.create(email="a@b")
        found = json.loads(shards("where", "shop.Order", str(account.pk), "--json"))
        assert Account.objects.using(found["alias"]).filter(pk=account.pk).exists()

    def test_an_unknown_key_is_said_and_not_placed(self) -> None:
        assert shards("where", "shop.Customer", "nobody") == "'nobody' is not known to 'crm': no shard holds it.\n"
        assert not Assignment.objects.using("directory").exists()

    def test_a_known_key_of_a_directory(self) -> None:
        Customer.objects.create(tenant="acme", name="x")
        assignment = Assignment.objects.using("directory").get()
        found = json.loads(shards("where", "shop.Customer", "acme", "--json"))
        assert found == {
            "model": "shop.Customer",
            "key": ["acme"],
            "database": "crm",
            "shard": assignment.shard,
            "alias": assignment.shard.replace("-", "_"),
            "bucket": None,
        }

    @pytest.mark.parametrize(
        ("args", "said"),
        [
            (("shop.Nothing", "1"), "'shop.Nothing' is not an installed model"),
            (("nothing", "1"), "'nothing' is not an installed model"),
            (("shop.Site", "1"), "shop.Site is not sharded"),
            (("shop.Country", "1"), "shop.Country is a reference model"),
            (("shop.Visitor", "seven"), "'seven' is not a value of site"),
            (("shop.Visitor", "7", "8"), r"The shard key of shop.Visitor is \(site\): give 1"),
            (("shop.Entry", "eu"), r"The shard key of shop.Entry is \(region, day\): give 2"),
            (("shop.Entry", "eu", "yesterday"), "'eu yesterday' is not a value of region, day"),
        ],
    )
    def test_what_cannot_be_asked(self, args: tuple[str, ...], said: str) -> None:
        with pytest.raises(CommandError, match=said):
            shards("where", *args)

    def test_a_model_without_a_key_is_a_usage_error(self) -> None:
        with pytest.raises(CommandError, match="key"):
            shards("where", "shop.Visitor")


def test_no_logical_database() -> None:
    with databases(track=None, crm=None, log=None):
        assert shards() == "There are no logical databases in DATABASES.\n"


class TestDown:
    @pytest.fixture
    def project(self, tmp_path: Path) -> Project:
        """Three shards, of which the second has a replica that is down and the third is down."""
        made = Project(tmp_path)
        made.manage("migrate", "--database=directory", "-v0")
        made.manage("migrate", "--database=track", "-v0")
        made.sql("track_1", "DELETE FROM django_migrations WHERE name = '0004_fragile'")
        made.sql("track_2", "DROP TABLE rollout_app_copy")
        made.set(
            "DATABASES['track_ro'] = sqlite('no/folder')\n"
            "DATABASES['track_3']['NAME'] = str(FOLDER / 'no' / 'folder.sqlite3')\n"
            "DATABASES['track']['SHARDS']['track-2']['REPLICAS'] = ['track_ro']"
        )
        return made

    def test_what_is_down_is_shown(self, project: Project) -> None:
        found = json.loads(project.manage("shards", "--json").stdout)[0]
        states = {state["alias"]: state for state in found["databases"]}
        assert [(alias, state["role"], state["reachable"]) for alias, state in states.items()] == [
            ("track_1", "primary", True),
            ("track_2", "primary", True),
            ("track_ro", "replica", False),
            ("track_3", "primary", False),
        ]
        assert "unable to open" in states["track_3"]["error"]
        assert states["track_1"]["pending_migrations"] == 1
        assert states["track_2"]["rows"] == {"rollout_app.Page": 0, "rollout_app.Copy": None}
        assert found["reachable"] is False

    def test_as_text(self, project: Project) -> None:
        text = project.manage("shards").stdout
        assert "DOWN" in text
        assert "track_3: unable to open database file" in text
        assert "rollout_app.Copy: 0 rows (no table on track_2)" in text

    def test_the_exit_status_when_asked_for(self, project: Project) -> None:
        result = project.manage("shards", "--fail", fails=True)
        assert "Not reachable: track_ro, track_3." in result.stderr
        assert "DOWN" in result.stdout

    def test_a_directory_that_is_down(self, project: Project) -> None:
        project.set("DATABASES['directory']['NAME'] = str(FOLDER / 'no' / 'folder.sqlite3')")
        result = project.manage("shards")
        assert "directory" in result.stdout
        assert "up," in result.stdout
        where = project.manage("shards", "where", "rollout_app.Page", "1", fails=True)
        assert "CommandError" in where.stderr
