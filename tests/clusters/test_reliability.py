"""The page of reliability is made by what is run here a few times: nothing acknowledged is lost, nobody is stuck."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.clusters.reliability import OURS, measure, page

if TYPE_CHECKING:
    from tests.servers.clusters import Cluster


@pytest.mark.parametrize("kind", ["kill", "demote"])
def test_failovers_under_load(cluster: Cluster, kind: str) -> None:
    counts = measure([cluster], OURS, kind, failovers=2, patience_seconds=60)
    assert (counts.failovers, counts.lost, counts.stuck, counts.left_behind) == (2, 0, 0, 0)
    assert counts.acknowledged > 0
    assert "| of them lost | 0 |" in page([counts], 1)
