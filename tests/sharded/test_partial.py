"""Reads that go without a shard: only where it is asked for twice, never in silence, never in a transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError, ProgrammingError, connections
from django.db.models import Count, Exists, Max, OuterRef
from django.db.transaction import atomic

from horizon_shards import allow_federation, partial_results, using_shard
from horizon_shards.exceptions import QueryNotSupported, RowLimitExceeded, ScatterTimeout
from horizon_shards.topology import get_group
from tests import settings
from tests.changed_databases import limited
from tests.sharded.rows import make_sites
from tests.sharded.test_faults import SHARDS, down, shard_of, slow
from tests.shop.models import Tag, Visit

pytestmark = pytest.mark.django_db(databases=["default", "track"], transaction=True)
#: The shard that is down. Not the first, of which a test of its own is.
DOWN = "track-3"


@pytest.fixture
def tags(db: None) -> list[Tag]:
    """A tag of each of 60 sites, so that every shard has some."""
    tags = Tag.objects.bulk_create([Tag(site=site, name="x") for site in make_sites(60)])
    assert {shard_of(tag.site_id) for tag in tags} == set(SHARDS)
    return tags


@pytest.fixture
def left(tags: list[Tag]) -> list[Tag]:
    """The tags that are not on the shard that is down."""
    return [tag for tag in tags if shard_of(tag.site_id) != DOWN]


@contextmanager
def allowed(folder: Path) -> Iterator[Any]:
    """A shard is down, the settings allow partial answers, and the block asks for them."""
    with down(DOWN, folder), limited("track", partial="return"), partial_results() as missing:
        yield missing


def names(missing: Any) -> list[str]:
    return [shard.shard for shard in missing]


def test_rows_of_the_others_and_the_missing_by_name(left: list[Tag], tmp_path: Path) -> None:
    with allowed(tmp_path) as missing:
        assert names(missing) == []
        assert list(Tag.objects.order_by("pk")) == sorted(left, key=lambda tag: tag.pk)
        assert names(missing) == [DOWN]
        assert (missing[0].database, type(missing[0].error)) == ("track", OperationalError)
        assert list(Tag.objects.order_by("pk").iterator(chunk_size=5)) == sorted(left, key=lambda tag: tag.pk)
        assert names(missing) == [DOWN] * 2


def test_the_first_shard_is_down_before_its_version_is_known(tags: list[Tag], tmp_path: Path) -> None:
    left = [tag for tag in tags if shard_of(tag.site_id) != SHARDS[0]]
    with down(SHARDS[0], tmp_path), limited("track", partial="return"), partial_results() as missing:
        assert list(Tag.objects.order_by("pk")) == sorted(left, key=lambda tag: tag.pk)
        assert Tag.objects.filter(name__icontains="X").count() == len(left)
        assert list(Tag.objects.values_list("name").annotate(n=Count("pk"))) == [("x", len(left))]
    assert names(missing) == [SHARDS[0]] * 3


@pytest.mark.parametrize(
    ("ask", "expected"),
    [
        (lambda: Tag.objects.count(), len),
        (lambda: Tag.objects.aggregate(n=Max("site"))["n"], lambda left: max(tag.site_id for tag in left)),
        (lambda: list(Tag.objects.values_list("name").annotate(n=Count("pk"))), lambda left: [("x", len(left))]),
        (lambda: Tag.objects.filter(name="x").exists(), bool),
        (lambda: Tag.objects.order_by("-pk").first(), lambda left: max(left, key=lambda tag: tag.pk)),
        (lambda: list(Tag.objects.values_list("name", flat=True).distinct()), lambda left: ["x"]),
    ],
)
def test_all_that_merges_rows(
    left: list[Tag], tmp_path: Path, ask: Callable[[], Any], expected: Callable[[list[Tag]], Any]
) -> None:
    with allowed(tmp_path) as missing:
        assert ask() == expected(left)
    assert names(missing) == [DOWN]


def test_whole_answers_name_nobody(tags: list[Tag]) -> None:
    with limited("track", partial="return"), partial_results() as missing:
        assert Tag.objects.count() == 60
    assert missing == []


@pytest.mark.parametrize("partial", ["error", "return"])
def test_it_takes_the_setting_and_the_block(tags: list[Tag], tmp_path: Path, partial: str) -> None:
    with down(DOWN, tmp_path), limited("track", partial=partial), pytest.raises(OperationalError, match=DOWN):
        if partial == "return":
            Tag.objects.count()
        else:
            with partial_results():
                Tag.objects.count()


def in_a_transaction() -> None:
    with atomic("track"):
        Tag.objects.count()


def on_the_shard() -> None:
    with using_shard(DOWN):
        Tag.objects.count()


NEVER: dict[str, Callable[[], Any]] = {
    "a transaction": in_a_transaction,
    "one shard": on_the_shard,
    "a difference, of which rows would come up": lambda: list(
        Tag.objects.values_list("site").difference(Tag.objects.filter(name="x").values_list("site"))
    ),
    "a query that another needs": lambda: list(Tag.objects.exclude(name__in=Visit.objects.values("path"))),
}


@pytest.mark.parametrize("name", NEVER)
def test_never_partial(tags: list[Tag], tmp_path: Path, name: str) -> None:
    with allowed(tmp_path) as missing, pytest.raises(OperationalError, match=DOWN):
        NEVER[name]()
    assert missing == []


@pytest.mark.skipif(settings.ENGINE != "sqlite", reason="shards that are not SQLite are not federated")
def test_a_federated_query_is_never_partial(tags: list[Tag], tmp_path: Path) -> None:
    visits = Visit.objects.filter(path=OuterRef("name"), pk__gt=OuterRef("pk"))
    with allowed(tmp_path) as missing, allow_federation(1000), pytest.raises(OperationalError, match=DOWN):
        list(Tag.objects.filter(~Exists(visits)))
    assert missing == []


@pytest.mark.parametrize(
    "write",
    [
        lambda tag: Tag.objects.create(site=tag.site, name="new"),
        lambda tag: Tag.objects.update(name="y"),
        lambda tag: Tag.objects.all().delete(),
        lambda tag: tag.save(),
    ],
)
def test_writes_are_refused(tags: list[Tag], write: Callable[[Tag], Any]) -> None:
    with limited("track", partial="return"), partial_results(), pytest.raises(QueryNotSupported) as refused:
        write(tags[0])
    assert refused.value.reason == "partial-write"
    assert Tag.objects.filter(name="x").count() == 60


def test_a_shard_that_is_late_is_missing(tags: list[Tag]) -> None:
    with slow("track-2"):
        for seconds in (0.3, 3, 20):
            # On a busy machine others may be late as well.
            with limited("track", partial="return", scatter_timeout_seconds=seconds), partial_results() as missing:
                try:
                    found = list(Tag.objects.all())
                except ScatterTimeout:
                    continue
            if names(missing) == ["track-2"]:
                break
    assert names(missing) == ["track-2"]
    assert isinstance(missing[0].error, ScatterTimeout)
    assert {tag.pk for tag in found} == {tag.pk for tag in tags if shard_of(tag.site_id) != "track-2"}
    assert Tag.objects.count() == 60


def test_all_shards_out_is_an_error(tags: list[Tag]) -> None:
    def fail(*args: Any) -> None:
        raise OperationalError("gone")

    with limited("track", partial="return"), partial_results() as missing:
        for alias in get_group("track").primaries.values():
            connections[alias].execute_wrappers.append(fail)
        try:
            with pytest.raises(OperationalError, match="gone"):
                Tag.objects.count()
        finally:
            for alias in get_group("track").primaries.values():
                connections[alias].execute_wrappers.remove(fail)
    assert missing == []


def test_other_errors_are_errors(tags: list[Tag]) -> None:
    def fail(*args: Any) -> None:
        raise ProgrammingError("no such column")

    with limited("track", partial="return", max_rows=20), partial_results() as missing:
        with pytest.raises(RowLimitExceeded):
            list(Tag.objects.all())
        with (
            connections[get_group("track").primaries[DOWN]].execute_wrapper(fail),
            pytest.raises(ProgrammingError, match=DOWN),
        ):
            Tag.objects.count()
    assert missing == []
