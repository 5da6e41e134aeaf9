"""Websites, which live in one database, and their page views, which are spread over the shards by website."""

from __future__ import annotations

import secrets
import uuid

from django.db import models
from django.urls import reverse

from horizon_shards.models import ShardedModel
from horizon_shards.models.deletion import SHARD_CASCADE
from track.row_ids import RowIdField

#: The longest path and host name that are stored, in characters.
PATH_LENGTH, HOST_LENGTH = 500, 255


def new_key() -> str:
    """A key for a website: public, short, and not to be guessed from another one."""
    return secrets.token_hex(6)


class Website(models.Model):
    """Unsharded, in ``default``. Its id is the shard key of everything that is counted for it."""

    key = models.CharField(max_length=64, unique=True, default=new_key, help_text="What the tracker sends; public.")
    domain = models.CharField(max_length=HOST_LENGTH, unique=True)
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["domain"]

    def __str__(self) -> str:
        return self.domain

    def get_absolute_url(self) -> str:
        """The dashboard of the website."""
        return reverse("report:site", args=[self.key])


class Device(models.TextChoices):
    """What kind of machine a request came from."""

    DESKTOP = "desktop", "Desktop"
    MOBILE = "mobile", "Phone"
    TABLET = "tablet", "Tablet"
    BOT = "bot", "Bot"
    OTHER = "other", "Other"


class PageView(ShardedModel):
    """One request for a page, or for something that belongs to a page; sharded by website.

    ``event_id`` makes collecting repeatable: the same event is stored once, however often it arrives.
    """

    id = RowIdField(primary_key=True)
    site = models.ForeignKey(Website, on_delete=SHARD_CASCADE, db_constraint=False, related_name="views")
    event_id = models.UUIDField(default=uuid.uuid4, editable=False)
    time = models.DateTimeField()
    visitor = models.CharField(max_length=16, help_text="A salted hash that is another one every day.")
    path = models.CharField(max_length=PATH_LENGTH)
    referrer = models.CharField(max_length=HOST_LENGTH, blank=True, help_text="The host that linked here.")
    browser = models.CharField(max_length=60, blank=True)
    system = models.CharField(max_length=60, blank=True)
    device = models.CharField(max_length=10, choices=Device, default=Device.OTHER)
    status = models.PositiveSmallIntegerField(default=200)
    size_bytes = models.PositiveBigIntegerField(default=0)
    is_page = models.BooleanField(default=True, help_text="A page that was shown: no image, script or failure.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["site", "event_id"], name="one_event_a_site")]
        indexes = [models.Index(fields=["site", "time"], name="views_of_site_by_time")]

    class Sharding:
        database = "track"
        key = "site"

    def __str__(self) -> str:
        return f"{self.path} at {self.time:%Y-%m-%d %H:%M:%S}"
