"""Composite foreign keys in forms, in the admin, and in fixtures."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.admin import AdminSite, ModelAdmin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.auth.models import User
from django.core import serializers
from django.forms import ModelForm, Select
from django.test import RequestFactory

from horizon_shards.fields import CompositeModelForm
from horizon_shards.fields.composite import filters
from tests.composite.models import Badge, Clerk, Coat, Desk, Folder, Sheet

pytestmark = pytest.mark.django_db(databases="__all__")


class ClerkForm(CompositeModelForm):
    """Names the relation in place of its columns."""

    class Meta:
        model = Clerk
        fields = ("name", "desk")


class SheetForm(CompositeModelForm):
    """Refers to a model with a composite primary key."""

    class Meta:
        model = Sheet
        fields = ("folder",)


def test_a_form_shows_and_saves_the_relation(clerks: list[Clerk], desks: list[Desk]) -> None:
    form = ClerkForm(instance=clerks[2])
    assert form.initial["desk"] == (2, 1)
    assert '<option value="[&quot;2&quot;, &quot;1&quot;]" selected>2/1</option>' in str(form["desk"])
    form = ClerkForm({"name": "moved", "desk": '["1", "2"]'}, instance=clerks[2])
    assert form.is_valid()
    assert form.has_changed()
    assert (form.save().desk, clerks[2].branch) == (desks[1], 1)
    assert not ClerkForm({"name": "moved", "desk": '["1", "2"]'}, instance=clerks[2]).has_changed()
    form = ClerkForm({"name": "moved", "desk": ""}, instance=clerks[2])
    assert form.save().desk_fk is None
    assert Clerk.objects.get(pk=clerks[2].pk).branch == 1


@pytest.mark.parametrize("value", ['["1", "9"]', '["1"]', "5", "x", '["1", "x"]', '{"a": 1}'])
def test_a_form_refuses_what_is_no_row(desks: list[Desk], value: str) -> None:
    form = ClerkForm({"name": "x", "desk": value})
    assert not form.is_valid()
    assert list(form.errors) == ["desk"]


def test_a_form_of_a_composite_primary_key(oracle: None) -> None:
    folder = Folder.objects.create(branch=1, number=2, name="f")
    form = SheetForm({"folder": '["1", "2"]'})
    assert form.is_valid(), form.errors
    assert form.save().folder == folder


def test_plain_forms_show_the_columns(desks: list[Desk]) -> None:
    class Plain(ModelForm):
        class Meta:
            model = Clerk
            fields = "__all__"  # noqa: DJ007

    assert list(Plain().fields) == ["branch", "desk_number", "name"]
    form = Plain({"branch": 1, "desk_number": 2, "name": "x"})
    assert form.save().desk == desks[1]


def test_widgets_and_declared_fields_are_kept(desks: list[Desk]) -> None:
    class Wide(CompositeModelForm):
        class Meta:
            model = Badge
            fields = ["desk"]
            widgets = {"desk": Select(attrs={"class": "wide"})}

    assert 'class="wide"' in str(Wide()["desk"])
    Badge.objects.create(desk=desks[0])
    assert "already exists" in str(Wide({"desk": '["1", "1"]'}).errors)


class ClerkAdmin(ModelAdmin):
    """Everything of the admin that names a relation."""

    form = CompositeModelForm
    fields = ("name", "desk")
    list_display = ("name", "desk")
    list_select_related = ("desk",)
    list_filter = ("desk",)
    search_fields = ("desk__name",)


@pytest.fixture
def admin(db: None) -> ClerkAdmin:
    return ClerkAdmin(Clerk, AdminSite())


def listed(admin: ClerkAdmin, **parameters: str) -> Any:
    request = RequestFactory().get("/", parameters)
    request.user = User(is_superuser=True, is_active=True)
    return admin.get_changelist_instance(request)


def test_the_admin_lists_and_filters(admin: ClerkAdmin, clerks: list[Clerk], django_assert_num_queries: Any) -> None:
    assert admin.check() == []
    page = listed(admin)
    with django_assert_num_queries(2, using="oracle"):  # the choices of the filter, and the rows
        found = list(page.get_queryset(RequestFactory().get("/")))
        assert [clerk.desk and clerk.desk.name for clerk in found].count(None) == 1
    assert [clerk.name for clerk in listed(admin, desk__exact='["2", "1"]').result_list] == ["at 2/1"]
    assert [clerk.name for clerk in listed(admin, desk__isnull="True").result_list] == ["nowhere"]
    assert [clerk.name for clerk in listed(admin, q="1/2").result_list] == ["at 1/2"]
    with pytest.raises(IncorrectLookupParameters):
        listed(admin, desk__exact="nonsense")


def test_the_filter_offers_the_rows_with_counts(admin: ClerkAdmin, clerks: list[Clerk]) -> None:
    page = listed(admin, desk__exact='["2", "1"]', _facets="True")
    assert isinstance(page.filter_specs[0], filters.CompositeFieldListFilter)
    choices = list(page.filter_specs[0].choices(page))
    assert [choice["display"] for choice in choices] == ["All", "1/1 (1)", "1/2 (1)", "2/1 (1)", "2/2 (1)", "- (1)"]
    assert [choice["display"] for choice in choices if choice["selected"]] == ["2/1 (1)"]


def test_the_form_of_the_admin_has_the_relation(admin: ClerkAdmin, desks: list[Desk]) -> None:
    form = admin.get_form(RequestFactory().get("/"))
    assert list(form.base_fields) == ["name", "desk"]
    assert form({"name": "x", "desk": '["1", "1"]'}).save(commit=False).desk == desks[0]


@pytest.mark.parametrize("form", ["json", "xml", "python"])
def test_fixtures_hold_each_column_once(clerks: list[Clerk], form: str) -> None:
    text = serializers.serialize(form, Clerk.objects.order_by("pk"))
    assert "desk_number" in str(text)
    assert '"desk"' not in str(text)
    Clerk.objects.all().delete()
    for found in serializers.deserialize(form, text, using="oracle"):
        found.save(using="oracle")
    assert [clerk.desk_fk for clerk in Clerk.objects.order_by("pk")] == [(1, 1), (1, 2), (2, 1), (2, 2), None]


def test_a_value_that_means_null_survives_full_clean(desks: list[Desk]) -> None:
    coat = Coat(branch=1, desk_number=0)
    coat.full_clean(exclude=["desk"])
    assert coat.desk_number == 0
