"""The main promise: shards change nothing. A real log gives the same report on 4 shards and on 1 database."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import EXAMPLE

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "access_log_semicomplete_2015.txt.gz"
SHIPPED = EXAMPLE / "data" / "access_log.gz"
#: All stored rows but their ids, in an order that all shards together have to give.
DIGEST = """
import hashlib
from django.db.models import F
from horizon_shards.context import allow_scatter
from track.models import PageView, Website
digest, count = hashlib.sha256(), 0
names = [f.attname for f in PageView._meta.concrete_fields if f.name != "id"]
with allow_scatter():
    for row in PageView.objects.order_by("time", "site_id", "event_id").values_list(*names).iterator(chunk_size=500):
        digest.update(repr(row).encode()); count += 1
print(count, digest.hexdigest())
"""


@pytest.mark.parametrize(
    "log", [pytest.param(REAL, marks=pytest.mark.skipif(not REAL.exists(), reason=f"no {REAL.name} here")), SHIPPED],
    ids=["real", "shipped"],
)  # fmt: skip
def test_shards_change_nothing(process, log):
    """To the row: totals, hours, days, lists, and every stored view; the warehouse changes nothing, either."""
    reports, rows = {}, {}
    for shards in ("4", "0"):
        prepare = {"folder": f"with_{shards}", "SHARDS": shards, "VISITOR_SALT": "the same"}
        process("demo.py", "--no-serve", "--log", log, **prepare)
        reports[shards] = json.loads(process("manage.py", "demo_report", "--json", **prepare))
        rows[shards] = process("manage.py", "shell", "--no-imports", "-v", "0", "-c", DIGEST, **prepare)
    placement = reports["4"].pop("placement")
    reports["0"].pop("placement")
    assert reports["4"] == reports["0"]
    stored = json.loads(process("manage.py", "demo_report", "--json", "--from=warehouse", folder="with_4", SHARDS="4"))
    assert stored.pop("placement") == {"shards": [], "websites": dict.fromkeys(placement["websites"], "")}
    assert stored == reports["4"]
    assert rows["4"] == rows["0"]
    assert len({shard for shard in placement["websites"].values() if shard}) > 1
    assert sum(shard["stored"] for shard in placement["shards"]) == reports["4"]["totals"]["requests"]
    assert int(rows["4"].split()[0]) == reports["4"]["totals"]["requests"]


def test_the_real_log_is_read_whole(process):
    """10,000 requests, and none of them is a bad line that was counted as a good one."""
    if not REAL.exists():
        pytest.skip(f"no {REAL.name} here")
    said = process("demo.py", "--no-serve", "--log", REAL, SHARDS="0")
    assert "10,000 lines" in said
