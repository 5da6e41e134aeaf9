"""The Django app: the table of claims, and the command ``work_queue``."""

from __future__ import annotations

from django.apps import AppConfig


class QueuesConfig(AppConfig):
    """``"horizon_shards.queues"`` in ``INSTALLED_APPS``."""

    name = "horizon_shards.queues"
    label = "horizon_shards_queues"
    verbose_name = "Horizon queues"
    default_auto_field = "django.db.models.BigAutoField"
