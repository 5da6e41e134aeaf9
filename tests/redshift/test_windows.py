"""Windows over rows: frames that mean what the standard's do."""

from __future__ import annotations

import pytest
from django.db import NotSupportedError
from django.db.models import Count, Max, Min, Q, RowRange, Sum, ValueRange, Window, WindowFrameExclusion
from django.db.models.functions import FirstValue, LastValue, RowNumber

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


def test_a_window_that_would_end_with_equal_rows_is_refused_with_the_cure(ann):
    visit(ann)
    with pytest.raises(NotSupportedError, match=r"RowRange\(start=None, end=0\)"):
        windowed(Sum("pages"), order_by="pages")
    with pytest.raises(NotSupportedError, match="primary key"):
        list(Customer.objects.annotate(running=Window(Sum("visit__pages"), order_by="pk")))
    assert windowed(Sum("pages"), order_by="pages", frame=RowRange(start=None, end=0)) == [0]


def test_a_window_that_ends_with_equal_rows_is_answered_where_they_change_nothing(ann):
    for pages in (1, 2, 2, 4):
        visit(ann, pages=pages)
    assert windowed(Max("pages"), order_by="pages") == [1, 2, 2, 4]
    assert windowed(Min("pages"), order_by="-pages") == [1, 2, 2, 4]
    assert windowed(LastValue("pages"), order_by="pages") == [1, 2, 2, 4]
    assert windowed(LastValue("pages"), order_by="at", partition_by="pages") == [1, 2, 2, 4]
    # An equal row may have another path, or be the only one that the filter takes.
    for function in (Max("path"), Max("pages", filter=Q(path="/")), LastValue("path"), Count("pages")):
        with pytest.raises(NotSupportedError, match="the order leaves equal"):
            windowed(function, order_by="pages")


def test_ranges_of_values_are_frames_of_rows_where_these_mean_the_same(ann):
    for pages in (1, 2, 2, 4):
        visit(ann, pages=pages)
    assert windowed(Sum("pages"), order_by="pages", frame=ValueRange()) == [9, 9, 9, 9]
    assert windowed(Sum("pages"), frame=ValueRange(end=0)) == [9, 9, 9, 9]
    assert windowed(Sum("pages"), order_by="pk", frame=ValueRange(end=0)) == [1, 3, 5, 9]
    assert windowed(Sum("pages"), order_by="pk", frame=ValueRange(start=0)) == [9, 8, 6, 4]
    assert windowed(Sum("pages"), order_by="pages", partition_by="pages", frame=ValueRange(0, 0)) == [1, 4, 4, 4]
    with pytest.raises(NotSupportedError, match="primary key"):
        windowed(Sum("pages"), order_by="pages", frame=ValueRange(end=0))
    with pytest.raises(NotSupportedError, match="only supports UNBOUNDED"):
        windowed(Sum("pages"), order_by="pk", frame=ValueRange(end=1))
    with pytest.raises(ValueError, match="a negative integer"):
        windowed(Sum("pages"), order_by="pk", frame=ValueRange(start=1))
    with pytest.raises(NotSupportedError, match="exclusions"):
        windowed(Sum("pages"), order_by="pk", frame=ValueRange(exclusion=WindowFrameExclusion.TIES))
