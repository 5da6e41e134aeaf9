"""The plugin in a project of its own, run by a pytest of its own; and that test runs leave real databases alone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.plugin_project import PLACEMENT_TEST, SETTINGS, placed, real_databases, run

pytest_plugins = ["pytester"]

# Projects that the plugin has nothing to do with.


@pytest.mark.parametrize("args", [(), ("-p", "no:django")])
def test_a_project_without_django_is_left_alone(environment: pytest.Pytester, args: tuple[str, ...]) -> None:
    """Neither Django nor the rest of the package is imported."""
    environment.makepyfile(
        """
        import sys

        def test_nothing_is_imported():
            loaded = {name for name in sys.modules if name.startswith("horizon_shards")}
            assert loaded <= {"horizon_shards", "horizon_shards.pytest_plugin"}
            assert "django.db" not in sys.modules
        """
    )
    result = run(environment, "-W", "error", *args)
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*placement seed*")


def test_a_django_project_without_shards_is_left_alone(project: pytest.Pytester) -> None:
    project.makepyfile(
        plain_settings="""
        DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
        """
    )
    project.makepyfile("def test_nothing():\n    pass")
    result = run(project, "--ds=plain_settings")
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*placement seed*")


def test_the_entry_point_is_declared() -> None:
    """Pytest finds the plugin under the name of its module, so that naming it twice is no error."""
    setup = Path(__file__).parent.parent / "setup.cfg"
    assert "\npytest11 =\n    horizon_shards.pytest_plugin = horizon_shards.pytest_plugin\n" in setup.read_text()


# Clean shards.


def test_the_mark_for_the_logical_alias_is_enough(project: pytest.Pytester) -> None:
    """Shards are made, migrated and clean, the directory too, and no real database is opened."""
    project.makepyfile(
        """
        import pytest
        from shop.models import Customer, View

        def fill():
            assert View.objects.count() == 0
            View.objects.bulk_create([View(site=site) for site in range(30)])
            assert View.objects.count() == 30
            assert View.objects.get(pk=View.objects.filter(site=7)[0].pk).site == 7

        @pytest.mark.parametrize("turn", range(2))
        @pytest.mark.django_db(databases=["track"])
        def test_rolled_back(turn):
            fill()

        @pytest.mark.parametrize("turn", range(2))
        @pytest.mark.django_db(databases=["track"], transaction=True)
        def test_flushed(turn):
            fill()

        @pytest.mark.django_db(databases=["crm"])
        def test_of_the_other_group():
            with pytest.raises(AssertionError, match="Add 'track' to"):
                View.objects.count()
            Customer.objects.create(tenant="a")

        @pytest.mark.django_db
        def test_blocked():
            with pytest.raises(AssertionError, match="Add 'crm' to"):
                Customer.objects.filter(tenant="a").count()

        def test_without_a_mark():
            with pytest.raises(RuntimeError, match="django_db"):
                Customer.objects.filter(tenant="a").count()
        """
    )
    run(project).assert_outcomes(passed=7)
    assert real_databases(project) == []


def test_an_asynchronous_test_and_a_thread_see_the_same_shards(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import threading
        import pytest
        from asgiref.sync import async_to_sync
        from django.db import connections
        from shop.models import View

        @pytest.mark.django_db(databases=["track"])
        def test_async():
            async def use():
                await View.objects.acreate(site=1)
                return await View.objects.acount()
            assert async_to_sync(use)() == 1

        @pytest.mark.django_db(databases=["track"], transaction=True)
        def test_thread():
            View.objects.create(site=1)
            counts = []
            def count():
                counts.append(View.objects.count())
                connections.close_all()
            thread = threading.Thread(target=count)
            thread.start()
            thread.join()
            assert counts == [1]
        """
    )
    run(project).assert_outcomes(passed=2)
    assert real_databases(project) == []


# Scrambled placement.


def test_the_placement_differs_from_seed_to_seed_and_not_within_one(project: pytest.Pytester) -> None:
    project.makepyfile(PLACEMENT_TEST)
    one, again, other = (run(project, "-s", f"--shards-seed={seed}") for seed in (1, 1, 2))
    assert placed(one) == placed(again) != placed(other)
    one.stdout.fnmatch_lines("horizon_shards: placement seed 1")


def test_a_new_seed_is_drawn_for_each_run_and_said(project: pytest.Pytester) -> None:
    project.makepyfile(PLACEMENT_TEST)
    seeds = [re.findall(r"placement seed (\d+)", run(project).stdout.str()) for _ in range(2)]
    assert len(seeds[0]) == len(seeds[1]) == 1
    assert seeds[0] != seeds[1]


def test_scrambling_can_be_switched_off(project: pytest.Pytester) -> None:
    project.makepyfile(PLACEMENT_TEST)
    first, second = (run(project, "-s", "-o", "shards_scramble=false") for _ in range(2))
    assert placed(first) == placed(second)
    first.stdout.no_fnmatch_line("*placement seed*")


def test_a_seed_of_the_settings_wins(project: pytest.Pytester) -> None:
    fixed = SETTINGS.replace('{"BUCKETS": 32}', '{"BUCKETS": 32, "SEED": 5}')
    project.makepyfile(project_settings=fixed)
    project.makepyfile(PLACEMENT_TEST)
    of_track = [placed(run(project, "-s", f"--shards-seed={seed}"))[::2] for seed in (1, 2)]
    assert of_track[0] == of_track[1]


def test_a_failure_says_how_to_run_with_the_same_placement(project: pytest.Pytester) -> None:
    project.makepyfile("def test_wrong():\n    assert False")
    result = run(project, "-q", "--shards-seed=77")
    result.stdout.fnmatch_lines("*to place keys as in this run, add --shards-seed=77")


def test_workers_of_xdist_share_the_seed(project: pytest.Pytester) -> None:
    pytest.importorskip("xdist")
    project.makepyfile(
        """
        import pytest
        from horizon_shards.topology import get_group
        from shop.models import View

        @pytest.mark.parametrize("turn", range(4))
        @pytest.mark.django_db(databases=["track"])
        def test_seed(turn):
            View.objects.bulk_create([View(site=site) for site in range(20)])
            assert View.objects.count() == 20
            assert get_group("track").config.mapping_options["SEED"] == 99
        """
    )
    run(project, "-n2", "--shards-seed=99").assert_outcomes(passed=4)
    assert real_databases(project) == []


def test_a_kept_database_keeps_its_seed(project: pytest.Pytester) -> None:
    """What is stored was placed by the seed of the run that made the database."""
    project.makepyfile(PLACEMENT_TEST)
    first, second = (run(project, "-s", "--reuse-db") for _ in range(2))
    assert placed(first) == placed(second)
    seeds = [re.findall(r"placement seed (\d+)", result.stdout.str()) for result in (first, second)]
    assert seeds[0] == seeds[1]
    assert real_databases(project) == []


# The directory between tests.

DIRECTORY_TEST = """
import pytest
from horizon_shards.topology import get_group
from shop.models import Customer

def assigned():
    return sum(get_group("crm").directory.counts().values())

@pytest.mark.django_db(databases=["crm"])
def test_1_place():
    Customer.objects.create(tenant="a")
    assert assigned() == 1

@pytest.mark.django_db(databases=["crm"])
def test_2_assignments_stay():
    assert not Customer.objects.exists()
    assert assigned() == 1

@pytest.mark.shards(fresh_directory=True)
@pytest.mark.django_db(databases=["crm"])
def test_3_fresh():
    assert assigned() == 0
    Customer.objects.create(tenant="b")

@pytest.mark.django_db(databases=["crm"])
def test_4_nothing_is_left_of_a_fresh_directory():
    assert assigned() == 0
    Customer.objects.create(tenant="b")
    assert Customer.objects.get(tenant="b").tenant == "b"
"""


def test_assignments_stay_unless_marked_otherwise(project: pytest.Pytester) -> None:
    project.makepyfile(DIRECTORY_TEST)
    run(project).assert_outcomes(passed=4)


# Fixtures and the marker.


def test_fixtures(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import pytest
        from shop.models import View

        pytestmark = pytest.mark.django_db(databases=["track"])

        def test_capture(capture_shards):
            with capture_shards() as captured:
                list(View.objects.filter(site=1))
            assert [query.mode for query in captured] == ["single"]

        def test_assertions(assert_shards, assert_single_shard, assert_no_scatter, assert_no_repeats):
            with assert_shards(1), assert_single_shard(), assert_no_scatter(), assert_no_repeats():
                list(View.objects.filter(site=1))

        def test_too_many(assert_shards):
            with assert_shards(1):
                View.objects.count()
        """
    )
    result = run(project)
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(
        [
            "E * AssertionError: Expected 1 shard, got 3 (s1, s2, s3):",
            "E *  1. scatter select of shop.View on track: s1, s2, s3",
            "E *     at test_fixtures.py:17 in test_too_many",
        ]
    )


def test_the_marker_forbids_scatter_in_the_test_alone(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import pytest
        from shop.models import View

        pytestmark = [pytest.mark.django_db(databases=["track"]), pytest.mark.shards(scatter=False)]

        @pytest.fixture
        def all_views():
            return list(View.objects.all())

        def test_single(all_views):
            list(View.objects.filter(site=1))

        def test_scatters():
            list(View.objects.all())

        @pytest.mark.shards(scatter=True)
        def test_may_scatter():
            list(View.objects.all())
        """
    )
    result = run(project, "--strict-markers")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines("E * AssertionError: 1 of 1 queries asked several shards. Filter each by*")


def test_a_misspelt_argument_of_the_marker_is_refused(project: pytest.Pytester) -> None:
    project.makepyfile("import pytest\n\n@pytest.mark.shards(scater=False)\ndef test_x():\n    pass")
    result = run(project)
    assert result.ret != 0
    result.stderr.fnmatch_lines("*the marker is shards(scatter=True, fresh_directory=False), not *scater*")


# The oracle of docs/testing.md.


def test_the_same_query_over_shards_and_over_one_database(project: pytest.Pytester) -> None:
    oracle = 'DATABASES["oracle"] = sqlite("oracle")\nDATABASE_ROUTERS = ["oracle_router.TestRouter"]\n'
    page = (Path(__file__).parent.parent / "docs" / "testing.md").read_text()
    router = re.search(r"^class TestRouter.*?(?=^```)", page, re.MULTILINE | re.DOTALL)
    assert router is not None
    project.makepyfile(
        project_settings=SETTINGS + oracle,
        oracle_router=f"from horizon_shards.routers import ShardRouter\n\n{router[0]}",
    )
    project.makepyfile(
        """
        import pytest
        from shop.models import View

        @pytest.mark.django_db(databases=["default", "track", "oracle"])
        def test_same():
            views = [View(site=site) for site in range(20) for _ in range(3)]
            View.objects.bulk_create(views)
            View.objects.using("oracle").bulk_create(views)
            def newest(database):
                return list(View.objects.using(database).order_by("-site", "pk").values_list("site", "pk")[5:40])
            assert newest("track") == newest("oracle")
        """
    )
    run(project).assert_outcomes(passed=1)
    assert real_databases(project) == []
