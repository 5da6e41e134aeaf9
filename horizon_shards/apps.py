"""The Django app: registers the system checks, and reads ``class Redshift`` of models."""

from __future__ import annotations

from django.apps import AppConfig, apps
from django.conf import settings
from django.db.models.signals import class_prepared

from horizon_shards.backends.redshift.storage import read_declaration

# Before ready(): Django imports the configurations of all apps before the models of any.
class_prepared.connect(read_declaration, dispatch_uid="horizon_shards.redshift")


class HorizonShardsConfig(AppConfig):
    """``"horizon_shards"`` in ``INSTALLED_APPS``: models of the directory, commands, checks."""

    name = "horizon_shards"
    label = "horizon_shards"
    verbose_name = "Horizon shards"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the checks, explain errors and count connections, once all models are loaded."""
        from horizon_shards.checks import register_checks
        from horizon_shards.cures import watch as watch_errors
        from horizon_shards.rollout.opened import watch as watch_connections

        register_checks()
        watch_errors()
        watch_connections()
        if getattr(settings, "HORIZON_SINKS", None):
            # Signals can be set in the main thread alone, which this is.
            from horizon_shards.sinks.lifetime import watch

            watch()
        if apps.is_installed("django.contrib.admin"):
            import horizon_shards.fields.composite.filters  # noqa: F401
