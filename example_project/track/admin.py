"""The admin: websites are edited, page views are looked at."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from horizon_shards.context import allow_scatter
from track.models import PageView, Website


class WebsiteFilter(admin.SimpleListFilter):
    """One website's rows: the question goes to one shard."""

    title = "website"
    parameter_name = "site"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The websites by name."""
        return [(str(pk), domain) for pk, domain in Website.objects.values_list("pk", "domain")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """The rows of the chosen one."""
        chosen = self.value()
        if chosen is None:
            return queryset
        return queryset.filter(site=int(chosen)) if chosen.isdecimal() else queryset.none()


class CollectedAdmin(admin.ModelAdmin):
    """Rows that are collected or counted: nobody types them in."""

    show_full_result_count = False
    list_per_page = 50
    # The website is in another database: it is fetched with a second query, not joined.
    list_select_related = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """The rows with their websites."""
        return super().get_queryset(request).prefetch_related("site")

    @admin.display(description="website", ordering="site_id")
    def website(self, row: Any) -> str:
        """The domain."""
        return str(row.site)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The list, of all shards unless one website is chosen; drawn here, because drawing asks for the rows."""
        with allow_scatter():
            response = super().changelist_view(request, extra_context)
            return response.render() if isinstance(response, TemplateResponse) else response

    def has_add_permission(self, request: HttpRequest) -> bool:
        """No."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """No."""
        return False


@admin.register(Website)
class WebsiteAdmin(admin.ModelAdmin):
    """Websites; deleting one deletes its rows on the shard."""

    list_display = ["domain", "key", "created"]
    search_fields = ["domain", "key"]
    readonly_fields = ["created"]


@admin.register(PageView)
class PageViewAdmin(CollectedAdmin):
    """Page views of all shards, the newest first."""

    list_display = ["time", "website", "path", "status", "browser", "device", "referrer"]
    list_filter = [WebsiteFilter, "is_page", "device"]
    search_fields = ["path", "referrer"]
    ordering = ["-time", "-id"]
