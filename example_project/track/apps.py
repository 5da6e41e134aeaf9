"""The app that collects page views."""

from __future__ import annotations

from django.apps import AppConfig


class TrackConfig(AppConfig):
    """Websites, page views, the tracker's endpoints and the import of access logs."""

    name = "track"
    default_auto_field = "django.db.models.BigAutoField"
