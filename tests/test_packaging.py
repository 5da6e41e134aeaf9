"""What is installed: the package alone, typed, and loadable before any settings."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import requires, version
from pathlib import Path

import pytest

import horizon_shards

PACKAGE = Path(horizon_shards.__file__).parent


def run_without_settings(code: str) -> str:
    """What ``code`` prints in a new process that knows no settings."""
    environment = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    environment["PYTHONPATH"] = str(PACKAGE.parent)
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_the_package_loads_nothing_of_django() -> None:
    loaded = run_without_settings(
        "import sys, horizon_shards; print([m for m in sys.modules if m.partition('.')[0] == 'django'])"
    )
    assert loaded == "[]"


@pytest.mark.parametrize("name", horizon_shards.__all__)
def test_a_public_name_loads_neither_settings_nor_models(name: str) -> None:
    code = (
        f"from horizon_shards import {name}\n"
        "from django.apps import apps\n"
        "from django.conf import settings\n"
        "import sys\n"
        "print(settings.configured, apps.ready, bool(apps.app_configs), 'horizon_shards.models' in sys.modules)"
    )
    assert run_without_settings(code) == "False False False False"


def test_an_unknown_public_name_is_an_attribute_error_that_lists_the_known_ones() -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'using_shards'; it has .*using_shard"):
        horizon_shards.__getattr__("using_shards")


def test_the_public_names_are_listed_before_they_are_loaded() -> None:
    assert set(horizon_shards.__all__) <= set(dir(horizon_shards))


def test_the_package_is_marked_as_typed() -> None:
    assert (PACKAGE / "py.typed").is_file()


def test_every_folder_with_code_is_a_package_that_a_wheel_takes_along() -> None:
    folders = {file.parent for file in PACKAGE.rglob("*.py")}
    assert [folder for folder in folders if not (folder / "__init__.py").is_file()] == []


def test_the_distribution_has_the_version_of_the_package_and_requires_django_alone() -> None:
    required = [line for line in requires("horizon-shards") or [] if "extra ==" not in line]
    assert version("horizon-shards") == horizon_shards.__version__
    assert [line.partition(">")[0].partition("!")[0] for line in required] == ["Django"]


@pytest.mark.skipif("HORIZON_SHARDS_FROM_WHEEL" not in os.environ, reason="only .ci/wheel runs the tests on a wheel")
def test_the_tests_run_on_what_the_wheel_installed() -> None:
    assert PACKAGE.parent.name == "site-packages"
    assert PACKAGE.is_relative_to(sys.prefix)
