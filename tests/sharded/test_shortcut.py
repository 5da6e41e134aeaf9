"""The short way of the commonest query gives what the long way gives, outside of a transaction and inside."""

from __future__ import annotations

from math import inf
from typing import Any

import pytest
from django.db import connections
from django.db.models import Count, Model, Q, Value
from django.db.models.functions import Concat
from django.db.transaction import atomic

from horizon_shards.backends.sharded import compiler, planner
from horizon_shards.backends.sharded.single import BareRead
from horizon_shards.exceptions import ShardKeyUpdate
from horizon_shards.testing import assert_single_shard
from horizon_shards.topology import get_group
from tests.changed_databases import limited
from tests.sharded.rows import make_sites
from tests.shop.models import Tag

pytestmark = pytest.mark.django_db(databases=["default", "track"], transaction=True)


@pytest.fixture
def tags(db: None) -> list[Tag]:
    """Three tags of each of six sites."""
    return Tag.objects.bulk_create(Tag(site=site, name=f"t{n}") for site in make_sites(6) for n in range(3))


def queries(site: int) -> list[object]:
    """Querysets that name the key beside other things."""
    own = Tag.objects.filter(site=site)
    return [
        own,
        own[:1],
        own.order_by("-name"),
        own.order_by("visits__path"),
        own.filter(name="t1"),
        own.exclude(name="t1"),
        own.filter(Q(name="t1") | Q(name="t2")),
        own.values_list("name"),
        own.only("name"),
        own.filter(pk=own.earliest("pk").pk),
        Tag.objects.filter(pk=own.latest("pk").pk),
        Tag.objects.filter(pk=1),
        Tag.objects.filter(pk=own.latest("pk").pk, name="t0"),
        Tag.objects.filter(~Q(pk=own.latest("pk").pk), site=site),
        own.none(),
        own.filter(pk__in=[]),
        own.filter(site=site + 1),
        Tag.objects.filter(site=str(site)),
        Tag.objects.filter(site__exact=Value(site)),
    ]


def test_the_short_way_is_the_long_way(tags: list[Tag], monkeypatch: pytest.MonkeyPatch) -> None:
    site = tags[0].site_id
    short = [list(queryset) for queryset in queries(site)]  # type: ignore[call-overload]
    with monkeypatch.context() as patch:
        patch.setattr(compiler, "shortest_plan", lambda *args: None)
        patch.setattr(planner, "plan_by_key", lambda *args: None)
        assert [list(queryset) for queryset in queries(site)] == short  # type: ignore[call-overload]
    with atomic(using="track"):
        assert [list(queryset) for queryset in queries(site)] == short  # type: ignore[call-overload]
    assert len(short[0]) == 3


def test_the_shortest_compiler_is_for_reads_outside_of_a_transaction(tags: list[Tag]) -> None:
    def is_bare(queryset: object) -> bool:
        return isinstance(queryset.query.get_compiler("track"), BareRead)  # type: ignore[attr-defined]

    own = Tag.objects.filter(site=tags[0].site_id)
    assert is_bare(own)
    assert is_bare(own[:1])
    assert is_bare(Tag.objects.filter(pk=tags[0].pk))
    for longer in (own.order_by("name"), own.select_related("site"), Tag.objects.filter(pk=1), Tag.objects.all()):
        assert not is_bare(longer)
    with atomic(using="track"):
        assert not is_bare(own)
        own.update(name="changed")
        assert {tag.name for tag in own} == {"changed"}
        assert connections["track"].transaction.participants


def test_the_shortest_compiler_makes_what_django_makes(tags: list[Tag]) -> None:
    own = Tag.objects.filter(site=tags[0].site_id)
    counted = own.all()
    counted.query.add_annotation(Count("*"), alias="n")
    few = own.filter(name__gt="t0", pk__gt=1)[1:2]
    for queryset in (own, few, own.values_list("name").distinct(), own.only("name"), counted):
        compiler = queryset.query.get_compiler("track")
        assert isinstance(compiler, BareRead)
        plain = queryset.query.get_compiler(compiler.connection.alias)
        assert compiler.as_sql() == plain.as_sql()
        names = ("select", "klass_info", "annotation_col_map", "col_count", "where", "having", "qualify")
        for name in (*names, "has_extra_select"):
            assert getattr(compiler, name) == getattr(plain, name), name


def test_rows_are_counted_by_the_shortest_way(tags: list[Tag], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiler, "_planned", None)
    own = Tag.objects.filter(site=tags[0].site_id)
    assert own.count() == 3
    assert own.filter(name="t1").count() == 1
    assert Tag.objects.filter(pk=tags[0].pk).count() == 1


def test_counts_of_anything_else_go_the_long_way(tags: list[Tag]) -> None:
    own = Tag.objects.filter(site=tags[0].site_id)
    assert own.aggregate(n=Count("pk", filter=Q(name="t1")), names=Count("name", distinct=True)) == {"n": 1, "names": 3}
    assert own[1:].count() == 2
    assert own.values("site").annotate(n=Count("*")).get()["n"] == 3


def test_an_update_by_id_changes_its_one_row(tags: list[Tag]) -> None:
    row = Tag.objects.filter(pk=tags[4].pk)
    with assert_single_shard():
        assert row.update(name="new") == 1
    with assert_single_shard():
        assert row.update(name=Concat("name", Value("er"))) == 1
    assert Tag.objects.filter(name="newer").get() == tags[4]
    with pytest.raises(ShardKeyUpdate):
        row.update(site=tags[0].site_id + 1_000)
    with pytest.raises(ShardKeyUpdate):
        row.update(id=1)


def test_a_read_in_a_transaction_is_in_its_snapshot(tags: list[Tag]) -> None:
    own = Tag.objects.filter(site=tags[0].site_id)
    with pytest.raises(KeyError), atomic(using="track"):
        own.delete()
        assert list(own.all()) == []
        raise KeyError
    assert len(own.all()) == 3


def test_values_alone_need_no_table(tags: list[Tag]) -> None:
    """Constraints check instances by a query without a model."""
    assert Q(name="x").check({"name": Value("x")}, using="track")
    assert not Q(name="x").check({"name": Value("y")}, using="track")


def test_equal_keys_of_other_types_are_other_keys(tags: list[Tag]) -> None:
    one: Model = Tag.objects.create(site_id=1, name="one")
    for same in (1, "1", 1.0, True):
        assert one in Tag.objects.filter(site=same)


def test_a_plan_is_forgotten_with_the_answer_it_rests_on(tags: list[Tag]) -> None:
    site = tags[0].site_id
    own = Tag.objects.filter(site=site)
    with assert_single_shard() as first:
        list(own.all())
    get_group("track").mapping.clear_cache()
    with assert_single_shard(first[0].shards[0]):
        list(own.all())
    with limited("track", max_rows=1):
        assert len(own.all()) == 3


def test_a_plan_follows_its_bucket(tags: list[Tag], monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever table the directory has by now decides, for a key as for an id."""
    mapping: Any = get_group("track").mapping
    here = mapping.place(tags[0].site_id)
    there = next(shard for shard in get_group("track").shard_names if shard != here)
    rows = Tag.objects.filter(site=tags[0].site_id), Tag.objects.filter(pk=tags[0].pk)
    with assert_single_shard(here):
        assert all(map(len, rows))
    monkeypatch.setattr(mapping, "_cached", ((there,) * mapping.buckets, inf))
    with assert_single_shard(there):
        assert not any(list(own.all()) for own in rows)
