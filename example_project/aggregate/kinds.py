"""What the lists of a website count: which field of its views, and which views."""

from __future__ import annotations

from django.db.models import Q, TextChoices

from aggregate.counting import VIEW
from track.models import Device


class Kind(TextChoices):
    """A list, and its heading."""

    PAGE = "page", "Top pages"
    REFERRER = "referrer", "Referrers"
    BROWSER = "browser", "Browsers"
    SYSTEM = "system", "Systems"
    DEVICE = "device", "Devices"
    BOT = "bot", "Bots"
    FAILURE = "failure", "Failed requests"


COUNTED: dict[Kind, tuple[str, Q]] = {
    Kind.PAGE: ("path", VIEW),
    Kind.REFERRER: ("referrer", VIEW),
    Kind.BROWSER: ("browser", VIEW),
    Kind.SYSTEM: ("system", VIEW),
    Kind.DEVICE: ("device", VIEW),
    Kind.BOT: ("browser", Q(device=Device.BOT)),
    Kind.FAILURE: ("path", Q(status__gte=400)),
}
