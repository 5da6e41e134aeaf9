"""What all tests share: Hypothesis profiles, and the folder of this run's SQLite databases."""

from __future__ import annotations

import os
import shutil

import pytest
from hypothesis import HealthCheck, settings

# The plugin also comes as an entry point; the same name twice is one plugin.
pytest_plugins = ["horizon_shards.pytest_plugin", "tests.plugin_project"]

EXAMPLES = {"quick": 25, "standard": 200, "ci": 1_000}
for name, count in EXAMPLES.items():
    # How fast examples are made says how busy the machine is.
    settings.register_profile(
        name, max_examples=count, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
    )
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "standard"))


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the folder that the settings made for this run."""
    if "SHARDS_TEST_FOLDER" not in os.environ:
        from tests.settings import FOLDER

        shutil.rmtree(FOLDER, ignore_errors=True)
