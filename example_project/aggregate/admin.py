"""The admin of the daily counts. Django's admin takes no composite primary keys, so the hours are not here."""

from __future__ import annotations

from django.contrib import admin

from aggregate.models import COUNTS, DailyCount
from track.admin import CollectedAdmin, WebsiteFilter


@admin.register(DailyCount)
class DailyCountAdmin(CollectedAdmin):
    """Days of all websites, the newest first."""

    list_display = ["day", "website", "views", "visitors", "requests", "bots", "errors"]
    list_filter = [WebsiteFilter]
    fields = ["site", "day", *COUNTS]
    ordering = ["-day", "site_id"]
