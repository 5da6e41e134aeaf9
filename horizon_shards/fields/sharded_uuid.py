"""A UUID that carries its bucket."""

from __future__ import annotations

import time
import uuid
from typing import Any

from django.db import models

from horizon_shards.fields.given_out import GivenOut
from horizon_shards.fields.numbering import number_and_bucket
from horizon_shards.ids import bucket_of_uuid, make_uuid


class ShardedUUIDField(GivenOut, models.UUIDField):  # type: ignore[type-arg]
    """A UUID of RFC 9562 version 8, given out by this package: :class:`ShardedIdField` in 128 bits.

    It begins with the time in milliseconds; it is unique through the leased number inside, whatever the clock
    says.
    """

    description = "Sharded UUID"

    def bucket_in(self, value: Any) -> int | None:
        """The bucket inside a UUID, or None where it is none of ours."""
        return bucket_of_uuid(value)

    def new_value(self, instance: models.Model) -> uuid.UUID:
        """A new UUID for the instance."""
        number, bucket = number_and_bucket(self, instance)
        return make_uuid(number, bucket, unix_ms=time.time_ns() // 1_000_000)
