"""The Django app: registers the system checks."""

from __future__ import annotations

from django.apps import AppConfig


class HorizonShardsConfig(AppConfig):
    """``"horizon_shards"`` in ``INSTALLED_APPS``: models of the directory, commands, checks."""

    name = "horizon_shards"
    label = "horizon_shards"
    verbose_name = "Horizon shards"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the checks, once all models are loaded."""
        from horizon_shards.checks import register_checks

        register_checks()
