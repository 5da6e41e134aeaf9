"""A 64-bit id that carries its bucket."""

from __future__ import annotations

from django.db import models

from horizon_shards.fields.given_out import GivenOut
from horizon_shards.fields.numbering import number_and_bucket
from horizon_shards.ids import bucket_of_id, make_id


class ShardedIdField(GivenOut, models.BigIntegerField):  # type: ignore[type-arg]
    """A BIGINT that is given out by this package: unique in its logical database, and naming its bucket.

    So ``get(pk=...)``, ``filter(pk__in=...)`` and foreign keys to it need no shard key. The value is made when
    the instance is saved, from its shard key; a value that is set before is kept. Like any primary key with a
    default, it makes ``save()`` of a new instance an INSERT without an UPDATE before it.
    """

    description = "Sharded id (8 bytes)"

    bucket_in = staticmethod(bucket_of_id)

    def new_value(self, instance: models.Model) -> int:
        """A new id for the instance."""
        return make_id(*number_and_bucket(self, instance))
