"""The Django app: the table of spilled records, for sinks with ``SPILL_TABLE``."""

from __future__ import annotations

from django.apps import AppConfig

#: Also the name by which ``migrate`` knows it.
LABEL = "horizon_shards_sinks"


class SinksConfig(AppConfig):
    """``"horizon_shards.sinks"`` in ``INSTALLED_APPS``."""

    name = "horizon_shards.sinks"
    label = LABEL
    verbose_name = "Horizon sinks"
    default_auto_field = "django.db.models.BigAutoField"
