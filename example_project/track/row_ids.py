"""The ids of sharded rows, which the example also has to make where there are no shards."""

from __future__ import annotations

import secrets

from django.conf import settings
from django.db import models

from horizon_shards.fields import ShardedIdField


class RowIdField(ShardedIdField):
    """A sharded id; with ``SHARDS=0`` a random number, because one plain database has no directory to lease from."""

    def get_pk_value_on_save(self, instance: models.Model) -> int:
        """A new id for the instance."""
        return super().get_pk_value_on_save(instance) if settings.SHARDED else secrets.randbits(62)
