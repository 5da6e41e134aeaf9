"""The database of the models of this app, and a few desks."""

from __future__ import annotations

from typing import Any

import pytest

from tests.composite.models import LANGUAGE, Clerk, Desk


@pytest.fixture
def oracle(db: None, settings: Any) -> None:
    """Reads and writes of this app go to the plain database on the engine of the run."""
    settings.DATABASE_ROUTERS = ["tests.composite.router.OnOracle", *settings.DATABASE_ROUTERS]


@pytest.fixture
def desks(oracle: None) -> list[Desk]:
    """Desks 1 and 2 of the branches 1 and 2, named ``1/1`` to ``2/2``."""
    places = [(branch, number) for branch in (1, 2) for number in (1, 2)]
    return [Desk.objects.create(branch=b, number=n, name=f"{b}/{n}") for b, n in places]


@pytest.fixture
def clerks(desks: list[Desk]) -> list[Clerk]:
    """A clerk at each desk, and one of branch 1 without any."""
    seated = [Clerk.objects.create(desk=desk, name=f"at {desk}") for desk in desks]
    return [*seated, Clerk.objects.create(branch=1, name="nowhere")]


@pytest.fixture
def language() -> Any:
    """Sets the language of the function part; English again afterwards."""
    yield lambda code: LANGUAGE.__setitem__(0, code)
    LANGUAGE[0] = "en"
