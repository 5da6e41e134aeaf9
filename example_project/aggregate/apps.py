"""The app that counts page views."""

from __future__ import annotations

from django.apps import AppConfig


class AggregateConfig(AppConfig):
    """Hourly and daily counts, and the command that makes them."""

    name = "aggregate"
    default_auto_field = "django.db.models.BigAutoField"
