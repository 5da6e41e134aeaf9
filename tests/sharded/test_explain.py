"""``explain()``: the plan in words, then what each shard says."""

from __future__ import annotations

import pytest
from django.db import connections
from django.db.models import Count, Sum

from horizon_shards.testing import capture_shards
from horizon_shards.topology import get_group
from tests.shop.models import Country, Site, Visit

pytestmark = pytest.mark.django_db(databases=["default", "track"])
SHARDS = ("track-1", "track-2", "track-3", "track-4")


def of_engine(text: str) -> bool:
    """Whether the lines hold the engine's own words for reading a table."""
    return any(word in text for word in ("SCAN", "SEARCH", "Scan", "shop_visit", "SIMPLE"))


def test_one_shard(sites: list[Site], visits: list[Visit]) -> None:
    shard = get_group("track").mapping.resolve(sites[0].pk)
    first, why, *rest = Visit.objects.filter(site=sites[0]).explain().splitlines()
    assert first == f"single select on track: {shard}"
    assert why == "  because the condition names the shard key"
    assert rest[0].startswith(f"  on {shard}: SELECT ")
    assert of_engine("\n".join(rest[1:]))
    assert not any(name in "\n".join(rest[1:]) for name in SHARDS)


def test_all_shards(visits: list[Visit]) -> None:
    text = Visit.objects.order_by("-ms", "pk")[5:15].explain()
    lines = text.splitlines()
    assert lines[0] == "scatter select on track: track-1, track-2, track-3, track-4"
    assert lines[1].startswith("  because the condition does not name the shard key")
    assert "  merge: in order of 2 term(s), streaming" in lines
    assert "  merge: rows 5 to 15" in lines
    assert any(line.startswith(f"  on {', '.join(SHARDS)}: SELECT ") for line in lines)
    parts = text.split("track-1:\n")[1]
    for shard in SHARDS[1:]:
        part, parts = parts.split(f"\n{shard}:\n")
        assert of_engine(part)
    assert of_engine(parts)


def test_some_shards(sites: list[Site], visits: list[Visit]) -> None:
    mapping = get_group("track").mapping
    wanted = [sites[0], next(site for site in sites if mapping.resolve(site.pk) != mapping.resolve(sites[0].pk))]
    shards = get_group("track").ordered(str(mapping.resolve(site.pk)) for site in wanted)
    lines = Visit.objects.filter(site__in=wanted).explain().splitlines()
    assert lines[0] == f"scatter select on track: {', '.join(shards)}"
    assert lines[1] == "  because the condition leaves 2 of 4 shards"
    assert [line[:-1] for line in lines if line.endswith(":") and line[:-1] in SHARDS] == list(shards)


def test_a_reference_model(visits: list[Visit]) -> None:
    assert (
        Country.objects.all()
        .explain()
        .startswith("single select on track: track-1\n  because a reference model is read from one shard")
    )


def test_a_query_that_can_match_nothing(visits: list[Visit]) -> None:
    text = Visit.objects.filter(site__in=[10**9, 10**9 + 1]).filter(site=10**9 + 2).explain()
    assert text.splitlines()[0].startswith(("single", "none"))
    assert len([shard for shard in SHARDS if shard in text]) <= 1


def test_distinct_rows_and_groups(visits: list[Visit]) -> None:
    assert "  merge: without duplicates" in Visit.objects.values("path").distinct().explain().splitlines()
    text = Visit.objects.values("path").annotate(n=Count("pk"), total=Sum("ms")).explain()
    assert text.startswith("scatter select on track: track-1, track-2, track-3, track-4")
    assert all(f"\n{shard}:\n" in text for shard in SHARDS)


def test_explaining_reads_no_rows(visits: list[Visit]) -> None:
    statements: list[str] = []

    def note(execute: object, sql: str, *args: object) -> object:
        statements.append(sql)
        return execute(sql, *args)  # type: ignore[operator]

    with connections["track"].execute_wrapper(note):
        Visit.objects.order_by("pk").explain()
    assert len(statements) == 4
    assert all(sql.upper().startswith("EXPLAIN") for sql in statements)


def test_the_plan_that_is_told_is_the_one_that_is_printed(visits: list[Visit]) -> None:
    queryset = Visit.objects.order_by("ms")[:3]
    with capture_shards() as captured:
        list(queryset)
    assert queryset.explain().startswith(str(captured[0].plan))
