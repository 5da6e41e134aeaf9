"""Who runs a task: claims in a table, so that one that is done has no second effect."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from django.db.models import QuerySet
from django.utils import timezone

from horizon_shards.queues.message import Message
from horizon_shards.queues.models import Claim
from horizon_shards.queues.settings import QueueSettings

#: A lease ends before SQS shows the message again, so that who receives it then may take over.
LEASE_SHARE = 0.9
#: How many rows are deleted at once.
BATCH = 1_000

State = Literal["taken", "held", "done"]


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether the claim is the caller's; for one that another holds, how long at most (seconds)."""

    state: State
    seconds: float = 0


class Claims:
    """The claims on one alias, each for ``VISIBILITY_SECONDS`` unless it is renewed. Clocks of workers must agree."""

    def __init__(self, settings: QueueSettings) -> None:
        self.alias = settings.claims
        self.days = settings.claim_days
        self._lease = timedelta(seconds=settings.visibility_seconds * LEASE_SHARE)

    def take(self, message: Message, *, owner: str) -> Answer:
        """Claim the call for ``owner``, unless it is done, or another holds it."""
        now = timezone.now()
        label = f"{message.task}({message.key})"[:200]
        defaults = {"label": label, "owner": owner, "leased_until": now + self._lease}
        claim, is_new = self._all.get_or_create(digest=message.digest, defaults=defaults)
        if is_new:
            return Answer("taken")
        if claim.done_at is not None:
            return Answer("done")
        if claim.leased_until > now:
            return Answer("held", (claim.leased_until - now).total_seconds())
        return self._take_over(claim.digest, claim.owner, claim.leased_until, owner=owner)

    def _take_over(self, digest: str, old_owner: str, leased_until: datetime, *, owner: str) -> Answer:
        """Of several who try, one gets it."""
        rows = self._all.filter(digest=digest, owner=old_owner, leased_until=leased_until, done_at=None)
        if rows.update(owner=owner, leased_until=timezone.now() + self._lease):
            return Answer("taken")
        return Answer("held", self._lease.total_seconds())

    def renew(self, digest: str, *, owner: str) -> bool:
        """Hold the claim for another while; False: it is another's by now."""
        rows = self._all.filter(digest=digest, owner=owner, done_at=None)
        return bool(rows.update(leased_until=timezone.now() + self._lease))

    def finish(self, digest: str, *, owner: str) -> bool:
        """The call is done; False: the claim is another's by now."""
        return bool(self._all.filter(digest=digest, owner=owner, done_at=None).update(done_at=timezone.now()))

    def release(self, digest: str, *, owner: str) -> None:
        """Give a claim back: whoever receives the message next may try."""
        self._all.filter(digest=digest, owner=owner, done_at=None).delete()

    def forget_old(self) -> int:
        """Delete what was done more than ``CLAIM_DAYS`` ago; how many. After that a repetition has an effect again."""
        old = self._all.filter(done_at__lt=timezone.now() - timedelta(days=self.days))
        count = 0
        while digests := list(old.values_list("digest", flat=True)[:BATCH]):
            count += self._all.filter(digest__in=digests).delete()[0]
        return count

    @property
    def _all(self) -> QuerySet[Claim]:
        return Claim._default_manager.using(self.alias)
