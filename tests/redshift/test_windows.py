"""Windows over rows: frames that mean what the standard's do."""

from __future__ import annotations

import datetime as dt

import pytest
from django.db import NotSupportedError
from django.db.models import Count, Max, Min, Q, RowRange, StdDev, Sum, ValueRange, Window, WindowFrameExclusion
from django.db.models.functions import FirstValue, LastValue, NthValue, RowNumber

from tests.redshift.test_rows import visit
from tests.redshift.warehouse.models import Customer, Visit

pytestmark = pytest.mark.django_db


def windowed(function, **options):
    rows = Visit.objects.annotate(window=Window(function, **options), n=Window(RowNumber(), order_by="pk"))
    return [row.window for row in rows.order_by("pk")]


def test_a_window_without_frame_ends_with_the_row_where_no_two_rows_are_equal(ann):
    for pages in (1, 2, 2, 4):
        visit(ann, pages=pages)
    assert windowed(Sum("pages"), order_by=["pages", "pk"]) == [1, 3, 5, 9]
    assert windowed(Sum("pages"), order_by="pk", partition_by="pages") == [1, 2, 4, 4]
    assert windowed(FirstValue("pages"), order_by="pages") == [1, 1, 1, 1]
    assert windowed(LastValue("pages"), order_by=["-pages", "pk"]) == [1, 2, 2, 4]


def test_a_window_whose_rows_are_all_equal_has_all_of_them(ann):
    for pages in (1, 2, 2):
        visit(ann, pages=pages)
    assert windowed(Count("pk"), order_by="pages", partition_by="pages") == [1, 2, 2]


def test_a_window_that_takes_in_equal_rows_is_refused_with_the_cure_where_they_cannot_be_told(ann):
    visit(ann)
    with pytest.raises(NotSupportedError, match=r"RowRange\(start=None, end=0\)"):
        windowed(StdDev("pages"), order_by="pages")
    # The join repeats customers, and no key tells the rows apart.
    with pytest.raises(NotSupportedError, match="primary key"):
        list(Customer.objects.annotate(running=Window(Sum("visit__pages"), order_by="pk")))
    groups = Visit.objects.values("pages").annotate(visits=Count("pk"))
    with pytest.raises(NotSupportedError, match="primary key"):
        list(groups.annotate(last=Window(LastValue("pages"), order_by="visits")))
    assert windowed(StdDev("pages"), order_by="pages", frame=RowRange(start=None, end=0)) == [0]


def test_a_window_that_ends_with_equal_rows_is_answered_where_they_change_nothing(ann):
    for pages in (1, 2, 2, 4):
        visit(ann, pages=pages)
    assert windowed(Max("pages"), order_by="pages") == [1, 2, 2, 4]
    assert windowed(Min("pages"), order_by="-pages") == [1, 2, 2, 4]
    assert windowed(LastValue("pages"), order_by="pages") == [1, 2, 2, 4]
    assert windowed(LastValue("pages"), order_by="at", partition_by="pages") == [1, 2, 2, 4]
    last = Visit.objects.latest("pk")
    assert windowed(LastValue("pk"), order_by=["pages", "path"], frame=ValueRange(start=0)) == [last.pk] * 4


#: Pages, path and microseconds of visits.
VISITS = [(2, "b", 5), (1, "a", None), (2, "d", None), (4, "a", 1), (2, "a", 7), (1, "b", None), (4, "c", None)]


def lengths(rows):
    return [length for _, _, length in rows if length is not None]


#: What each function gives for the rows of a frame.
EXPECTED = {
    Sum("length"): lambda rows: sum(lengths(rows)) if lengths(rows) else None,
    Count("length"): lambda rows: len(lengths(rows)),
    Min("path"): lambda rows: min(path for _, path, _ in rows),
    Max("path"): lambda rows: max(path for _, path, _ in rows),
    Sum("pages", filter=Q(path="a")): lambda rows: sum(pages for pages, path, _ in rows if path == "a") or None,
}


def frame_of(row, start, end, rank):
    """The rows from and to the bounds; one that is 0 has all rows on its side that are equal to the row."""
    here = rank(row)
    return [
        other for other in VISITS if (start is None or rank(other) >= here) and (end is None or rank(other) <= here)
    ]


@pytest.mark.parametrize("function", EXPECTED, ids=str)
@pytest.mark.parametrize("order", ["pages", "-pages"])
@pytest.mark.parametrize(("start", "end"), [(None, 0), (0, None), (0, 0)])
def test_a_window_takes_in_the_rows_that_the_order_leaves_equal(ann, function, order, start, end):
    for pages, path, length in VISITS:
        visit(ann, pages=pages, path=path, length=None if length is None else dt.timedelta(microseconds=length))
    found = windowed(function, order_by=order, frame=ValueRange(start=start, end=end))
    found = [value // dt.timedelta(microseconds=1) if isinstance(value, dt.timedelta) else value for value in found]
    sign = -1 if order == "-pages" else 1
    frames = [frame_of(row, start, end, lambda row: sign * row[0]) for row in VISITS]
    assert found == [EXPECTED[function](frame) for frame in frames]


def test_the_nth_of_a_window_that_takes_in_equal_rows(ann):
    for pages in (1, 2, 2, 4):
        visit(ann, pages=pages)
    assert windowed(NthValue("pages", 2), order_by="pages") == [None, 2, 2, 2]
    assert windowed(NthValue("pages", 3), order_by="-pages") == [2, 2, 2, None]
    with pytest.raises(NotSupportedError, match="the order leaves equal"):
        windowed(NthValue("pages", 2), order_by="pages", frame=ValueRange(start=0))


def test_one_of_the_equal_rows_ends_a_window(ann):
    for pages, path in ((1, "a"), (2, "b"), (2, "c")):
        visit(ann, pages=pages, path=path)
    first, *equal = windowed(LastValue("path"), order_by="pages")
    assert first == "a"
    assert equal in (["b", "b"], ["c", "c"])


def test_ranges_of_values_are_frames_of_rows_where_these_mean_the_same(ann):
    for pages in (1, 2, 2, 4):
        visit(ann, pages=pages)
    assert windowed(Sum("pages"), order_by="pages", frame=ValueRange()) == [9, 9, 9, 9]
    assert windowed(Sum("pages"), frame=ValueRange(end=0)) == [9, 9, 9, 9]
    assert windowed(Sum("pages"), order_by="pk", frame=ValueRange(end=0)) == [1, 3, 5, 9]
    assert windowed(Sum("pages"), order_by="pk", frame=ValueRange(start=0)) == [9, 8, 6, 4]
    assert windowed(Sum("pages"), order_by="pages", partition_by="pages", frame=ValueRange(0, 0)) == [1, 4, 4, 4]
    assert windowed(Sum("pages"), order_by="pages", frame=ValueRange(end=0)) == [1, 5, 5, 9]
    with pytest.raises(NotSupportedError, match="only supports UNBOUNDED"):
        windowed(Sum("pages"), order_by="pk", frame=ValueRange(end=1))
    with pytest.raises(ValueError, match="a negative integer"):
        windowed(Sum("pages"), order_by="pk", frame=ValueRange(start=1))
    with pytest.raises(NotSupportedError, match="exclusions"):
        windowed(Sum("pages"), order_by="pk", frame=ValueRange(exclusion=WindowFrameExclusion.TIES))
