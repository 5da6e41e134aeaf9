"""The app of the warehouse."""

from __future__ import annotations

from django.apps import AppConfig


class WarehouseConfig(AppConfig):
    """Its models live on the alias ``warehouse``: SQLite, or Redshift."""

    name = "warehouse"
    default_auto_field = "django.db.models.BigAutoField"
