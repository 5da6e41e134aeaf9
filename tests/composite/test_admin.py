"""Composite foreign keys in the admin: raw ids, choices that search, and inlines."""

from __future__ import annotations

import json
import types
from typing import Any

import pytest
from django.contrib.admin import AdminSite, ModelAdmin
from django.contrib.auth.models import User
from django.contrib.messages.storage.fallback import FallbackStorage
from django.db import models
from django.http import QueryDict
from django.test import RequestFactory
from django.urls import path

from horizon_shards.fields.composite.admin import CompositeModelAdmin, CompositeStackedInline, CompositeTabularInline
from tests.composite.models import Clerk, Coat, Desk, Key

pytestmark = pytest.mark.django_db(databases="__all__")


class ClerkInline(CompositeTabularInline):
    """Refers to its desk by branch and number."""

    model = Clerk
    extra = 1


class CoatInline(CompositeStackedInline):
    """May have no desk."""

    model = Coat
    fk_name = "desk"


class DeskAdmin(CompositeModelAdmin):
    """With the rows that refer to a desk."""

    inlines = (ClerkInline, CoatInline)


class RawClerkAdmin(CompositeModelAdmin):
    """Names the desk by its key."""

    fields = ("name", "desk")
    raw_id_fields = ("desk",)


@pytest.fixture
def site(oracle: None, settings: Any) -> Any:
    """An admin with both, whose pages are served."""
    site = AdminSite()
    site.register(Desk, DeskAdmin)
    site.register(Clerk, RawClerkAdmin)
    urls = types.ModuleType("composite_admin_urls")
    urls.urlpatterns = [path("admin/", site.urls)]  # type: ignore[attr-defined]
    settings.ROOT_URLCONF = urls
    return site


class SearchedDeskAdmin(CompositeModelAdmin):
    """Can be searched."""

    search_fields = ("name",)
    ordering = ("pk",)


class SearchingClerkAdmin(CompositeModelAdmin):
    """Searches for the desk."""

    fields = ("name", "desk")
    autocomplete_fields = ("desk",)


@pytest.fixture
def searching(oracle: None, settings: Any) -> AdminSite:
    """An admin whose clerks search for desks."""
    site = AdminSite()
    site.register(Desk, SearchedDeskAdmin)
    site.register(Clerk, SearchingClerkAdmin)
    urls = types.ModuleType("composite_searching_urls")
    urls.urlpatterns = [path("admin/", site.urls)]  # type: ignore[attr-defined]
    settings.ROOT_URLCONF = urls
    return site


def posted(site: Any, model: Any, pk: Any, **data: Any) -> Any:
    """The answer to a form of the admin."""
    request = RequestFactory().post("/", {"_save": "1", **data})
    request.user = User(is_superuser=True, is_active=True, pk=1)
    request._dont_enforce_csrf_checks = True  # type: ignore[attr-defined]
    request.session = {}  # type: ignore[assignment]
    request._messages = FallbackStorage(request)  # type: ignore[attr-defined]
    admin = site._registry[model]
    admin.log_addition = admin.log_change = lambda *args: None
    return admin.changeform_view(request, None if pk is None else str(pk))


def management(prefix: str, total: int, initial: int) -> dict[str, Any]:
    return {f"{prefix}-TOTAL_FORMS": total, f"{prefix}-INITIAL_FORMS": initial}


def test_an_admin_with_raw_ids_and_inlines_has_no_issues(site: Any) -> None:
    assert [admin.check() for admin in site._registry.values()] == [[], []]


def test_an_inline_without_such_a_relation_is_an_issue(oracle: None) -> None:
    class Wrong(CompositeTabularInline):
        model = Key

    class WrongAdmin(CompositeModelAdmin):
        inlines = (Wrong,)
        raw_id_fields = ("name", "nothing")

    assert sorted(error.id for error in WrongAdmin(Desk, AdminSite()).check()) == [
        "admin.E002",
        "admin.E003",
        "admin.E202",
    ]


def test_a_raw_id_shows_the_row_and_takes_its_key_or_its_primary_key(site: Any, clerks: list[Clerk]) -> None:
    form_class = site._registry[Clerk].get_form(RequestFactory().get("/"))
    bound = form_class(instance=clerks[2])["desk"]
    shown = bound.field.widget.get_context("desk", bound.value(), {})
    assert shown["widget"]["value"] == '["2", "1"]'
    assert shown["link_label"] == "2/1"
    assert shown["link_url"] == f"/admin/composite/desk/{Desk.objects.get(branch=2, number=1).pk}/change/"
    assert shown["related_url"] == "/admin/composite/desk/?_to_field=id"
    desk = Desk.objects.get(branch=1, number=2)
    for value in ('["1", "2"]', str(desk.pk)):
        form = form_class({"name": "x", "desk": value}, instance=clerks[2])
        assert form.is_valid(), form.errors
        assert form.cleaned_data["desk"] == desk
    for value in ("0", "x", '["9", "9"]'):
        assert "desk" in form_class({"name": "x", "desk": value}).errors


def test_a_choice_that_searches_shows_the_row_that_is_chosen_and_takes_another(
    searching: AdminSite, clerks: list[Clerk]
) -> None:
    admin: Any = searching._registry[Clerk]
    assert admin.check() == []
    form_class = admin.get_form(_superuser())
    shown = str(form_class(instance=clerks[2])["desk"])
    assert 'data-ajax--url="/admin/autocomplete/"' in shown
    assert '<option value="[&quot;2&quot;, &quot;1&quot;]" selected>2/1</option>' in shown
    assert shown.count("<option") == 2  # and that of no desk
    assert "selected>" not in str(form_class({"name": "x", "desk": "0"})["desk"])
    (found,) = searched(searching, term="1/2")["results"]
    assert found["text"] == "1/2"
    form = form_class({"name": "x", "desk": found["id"]}, instance=clerks[2])
    assert form.is_valid(), form.errors
    assert form.save().desk == clerks[1].desk
    assert f'<option value="{found["id"]}" selected>1/2</option>' in str(form["desk"])
    assert "select2" in str(form.media)
    assert form_class({"name": "x", "desk": ""}, instance=clerks[2]).save().desk is None


def searched(site: AdminSite, **parameters: str) -> Any:
    """What Django's view answers to the choice of a clerk's desk."""
    names = {"app_label": "composite", "model_name": "clerk", "field_name": "desk"}
    request = _superuser(**names, **parameters)
    return json.loads(site.autocomplete_view(request).content)


def test_what_cannot_be_searched_is_an_issue(oracle: None) -> None:
    class Searching(CompositeModelAdmin):
        autocomplete_fields = ("desk", "name")

    class Plain(ModelAdmin):
        autocomplete_fields = ("desk",)

    site = AdminSite()
    assert [error.id for error in Searching(Clerk, site).check()] == ["admin.E039", "admin.E038"]
    site.register(Desk, CompositeModelAdmin)
    assert [error.id for error in Searching(Clerk, site).check()] == ["admin.E040", "admin.E038"]
    assert [error.id for error in Plain(Clerk, site).check()] == ["admin.E038"]


def test_an_inline_adds_changes_and_deletes_the_rows_of_its_parent(site: Any, clerks: list[Clerk]) -> None:
    kept, other = clerks[1], clerks[0]
    gone = Clerk.objects.create(desk=kept.desk, name="gone")
    data = {"branch": 1, "number": 2, "name": "1/2"}
    rows = {
        **management("clerks", 3, 2),
        "clerks-0-id": kept.pk,
        "clerks-0-name": "renamed",
        "clerks-1-id": gone.pk,
        "clerks-1-name": "gone",
        "clerks-1-DELETE": "on",
        "clerks-2-name": "new",
        **management("coats", 1, 0),
    }
    answer = posted(site, Desk, kept.desk.pk, **data, **rows)
    assert answer.status_code == 302, answer.context_data["errors"]
    assert {*Clerk.objects.filter(desk=kept.desk).values_list("name", flat=True)} == {"renamed", "new"}
    assert Clerk.objects.get(pk=other.pk).name == other.name
    strange = {**rows, "clerks-0-id": other.pk, **management("clerks", 1, 1)}
    posted(site, Desk, kept.desk.pk, **data, **strange)
    found = Clerk.objects.get(pk=other.pk)
    assert (found.desk, found.name) == (other.desk, other.name)


def test_an_inline_of_a_new_parent_gets_its_key(site: Any, oracle: None) -> None:
    data = {"branch": 7, "number": 8, "name": "seven", **management("clerks", 1, 0), **management("coats", 1, 0)}
    assert posted(site, Desk, None, **data, **{"clerks-0-name": "Ann"}).status_code == 302
    clerk = Clerk.objects.get()
    assert (clerk.name, clerk.branch, clerk.desk_number, clerk.desk.name) == ("Ann", 7, 8, "seven")


def test_the_page_shows_the_rows_of_the_parent_without_their_columns(site: Any, clerks: list[Clerk]) -> None:
    desk, admin = clerks[1].desk, site._registry[Desk]
    formsets, inlines = admin._create_formsets(_superuser(), desk, change=True)
    (shown, _) = admin.get_inline_formsets(_superuser(), formsets, inlines, desk)
    page = "".join(str(line.field) for form in shown for part in form for row in part for line in row)
    assert 'name="clerks-0-name" value="at 1/2"' in page
    assert "at 1/1" not in page
    assert 'name="clerks-0-branch"' not in page


def test_rows_are_saved_as_those_of_a_copy(site: Any, clerks: list[Clerk]) -> None:
    formset = ClerkInline(Desk, site).get_formset(_superuser())
    copy = Desk(branch=9, number=9, name="copy")
    data = QueryDict(mutable=True)
    data.update({**management("clerks", 1, 1), "clerks-0-id": clerks[0].pk, "clerks-0-name": "again"})
    found = formset(data, instance=copy, save_as_new=True)
    assert found.is_valid(), found.errors
    copy.save()
    (made,) = found.save()
    assert (made.desk, made.pk != clerks[0].pk) == (copy, True)


def _superuser(**parameters: str) -> Any:
    request = RequestFactory().get("/", parameters)
    request.user = User(is_superuser=True, is_active=True)
    return request


def test_an_inline_validates_constraints_with_the_columns_of_its_parent(site: Any, clerks: list[Clerk]) -> None:
    desk, once = clerks[0].desk, models.UniqueConstraint(fields=["branch", "desk_number", "name"], name="once")
    formset = ClerkInline(Desk, site).get_formset(_superuser())
    Clerk._meta.constraints.append(once)
    try:
        found = formset({**management("clerks", 1, 0), "clerks-0-name": "at 1/1"}, instance=desk)
        assert "already exists" in str(found.errors)
    finally:
        Clerk._meta.constraints.remove(once)
