"""The pytest plugin: fixtures that assert shards, and a placement that differs from run to run.

It needs pytest-django and a logical database in the settings. Without them it does nothing and imports nothing:
pytest loads it in every project where the package is installed.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from horizon_shards.testing import CapturedQueries

MARKER = (
    "shards(scatter=True, fresh_directory=False): with scatter=False the test fails if one of its queries asks "
    "several shards; with fresh_directory=True the directory holds no assignment before and after the test."
)
MARKER_ARGUMENTS = {"scatter", "fresh_directory"}
SEEDS = 2**32
CACHE_KEY = "horizon_shards/placement_seed"

seed_key = pytest.StashKey["int | None"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--shards-seed`` and the ini setting ``shards_scramble``."""
    group = parser.getgroup("horizon_shards", "horizon_shards")
    group.addoption(
        "--shards-seed",
        type=int,
        default=None,
        metavar="N",
        help="Place keys on shards as the run with this seed did. Without it the seed is drawn anew for each run.",
    )
    parser.addini(
        "shards_scramble",
        "Place keys on shards differently in each run, so that no test passes by luck (default true).",
        type="bool",
        default=True,
    )


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Draw the seed, after pytest-django has set up Django."""
    config.addinivalue_line("markers", MARKER)
    config.stash[seed_key] = seed = _choose_seed(config) if _has_open_placement(config) else None
    # Workers of pytest-xdist get the options of the main process, and with them its seed.
    if seed is not None:
        config.option.shards_seed = seed


def pytest_report_header(config: pytest.Config) -> str | None:
    """Say the seed, for running with the same placement again."""
    seed = config.stash.get(seed_key, None)
    return None if seed is None else f"horizon_shards: placement seed {seed}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say the seed again where a test failed: the failure may depend on the placement."""
    seed = config.stash.get(seed_key, None)
    failed = terminalreporter.stats.get("failed") or terminalreporter.stats.get("error")
    if seed is not None and failed:
        terminalreporter.write_line(f"horizon_shards: to place keys as in this run, add --shards-seed={seed}")


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, Any, Any]:
    """Hold the placement from before the test databases are made until after the last test."""
    seed = session.config.stash.get(seed_key, None)
    if seed is None:
        return (yield)
    from horizon_shards.testing.placement import scrambled_placement

    with scrambled_placement(seed):
        return (yield)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Refuse a misspelt argument of the marker ``shards``."""
    for mark in item.iter_markers("shards"):
        unknown = set(mark.kwargs) - MARKER_ARGUMENTS
        if mark.args or unknown:
            raise pytest.UsageError(f"{item.nodeid}: the marker is {MARKER.partition(':')[0]}, not {mark}.")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Let a test that is marked ``shards(scatter=False)`` fail where it scatters; fixtures may."""
    mark = item.get_closest_marker("shards")
    if mark is None or mark.kwargs.get("scatter", True):
        return (yield)
    from horizon_shards.testing import assert_no_scatter

    with assert_no_scatter():
        return (yield)


@pytest.fixture(autouse=True)
def _fresh_directory(request: pytest.FixtureRequest) -> Generator[None, None, None]:
    """Forget the assignments before and after a test marked ``shards(fresh_directory=True)``."""
    mark = request.node.get_closest_marker("shards")
    if mark is None or not mark.kwargs.get("fresh_directory", False):
        yield
        return
    request.getfixturevalue("django_db_setup")
    blocker = request.getfixturevalue("django_db_blocker")
    from horizon_shards.testing import forget_placement

    with blocker.unblock():
        forget_placement()
    yield
    with blocker.unblock():
        forget_placement()


@pytest.fixture
def capture_shards() -> Callable[..., AbstractContextManager[CapturedQueries]]:
    """:func:`horizon_shards.testing.capture_shards`."""
    from horizon_shards import testing

    return testing.capture_shards


@pytest.fixture
def assert_shards() -> Callable[..., AbstractContextManager[CapturedQueries]]:
    """:func:`horizon_shards.testing.assert_shards`."""
    from horizon_shards import testing

    return testing.assert_shards


@pytest.fixture
def assert_single_shard() -> Callable[..., AbstractContextManager[CapturedQueries]]:
    """:func:`horizon_shards.testing.assert_single_shard`."""
    from horizon_shards import testing

    return testing.assert_single_shard


@pytest.fixture
def assert_no_repeats() -> Callable[..., AbstractContextManager[CapturedQueries]]:
    """:func:`horizon_shards.testing.assert_no_repeats`."""
    from horizon_shards import testing

    return testing.assert_no_repeats


@pytest.fixture
def assert_no_scatter() -> Callable[..., AbstractContextManager[CapturedQueries]]:
    """:func:`horizon_shards.testing.assert_no_scatter`."""
    from horizon_shards import testing

    return testing.assert_no_scatter


def _has_open_placement(config: pytest.Config) -> bool:
    """Whether there is a logical database whose placement the settings leave to be scrambled."""
    if not config.pluginmanager.hasplugin("django") or "django" not in sys.modules:
        return False
    from django.conf import settings

    if not settings.configured or not config.getini("shards_scramble"):
        return False
    from horizon_shards.testing.placement import scrambled_aliases

    return bool(scrambled_aliases())


def _choose_seed(config: pytest.Config) -> int:
    """The seed that was asked for; else, for a database that is kept, the one it was made with; else a new one."""
    cache = getattr(config, "cache", None)
    seed: int | None = config.getoption("shards_seed")
    if seed is None and cache is not None and _keeps_database(config):
        seed = cache.get(CACHE_KEY, None)
    if seed is None:
        seed = random.randrange(SEEDS)  # noqa: S311 - no secret
    if cache is not None:
        cache.set(CACHE_KEY, seed)
    return seed


def _keeps_database(config: pytest.Config) -> bool:
    return bool(config.getoption("reuse_db", False)) and not config.getoption("create_db", False)
