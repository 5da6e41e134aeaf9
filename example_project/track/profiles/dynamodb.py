"""Profiles in DynamoDB: a view is counted together with the claim that it was, or not at all."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import cached_property
from typing import Any

from django.utils import timezone
from pynamodb.connection import Connection
from pynamodb.exceptions import PynamoDBException, TransactWriteError
from pynamodb.transactions import TransactWrite

from track.models import PageView
from track.profiles.base import Profile, ProfileError, Profiles
from track.profiles.items import ClaimItem, VisitorItem, bound, client_settings

#: How often somebody else may be quicker before the error is raised, and the longest pause between.
TRIES = 8
PAUSE_SECONDS = 0.05
#: For how long a beacon that comes again is known.
CLAIM = timedelta(days=1)
#: Why a transaction is cancelled that may be tried again: a version that another has written, or is writing.
CONFLICTS = {"ConditionalCheckFailed", "TransactionConflict"}


class DynamoProfiles(Profiles):
    """``PREFIX`` stands in front of the tables ``visitors`` and ``claims``; ``ENDPOINT`` and ``REGION`` as in boto3.

    ``TIMEOUT_SECONDS``: how long is waited for a connection, and for an answer, each of the two times that it is tried.
    """

    def __init__(self, *, days: int, options: Mapping[str, Any]) -> None:
        super().__init__(days=days, options=options)
        self.visitors = bound(VisitorItem, "visitors", options)
        self.claims = bound(ClaimItem, "claims", options)

    def see(self, view: PageView) -> None:
        """Count the view, unless its event is claimed. On a conflict the profile is read again, and counted on."""
        with _told():
            for number in range(TRIES):
                try:
                    self._write(self._counted(view, is_again=number > 0), view)
                except TransactWriteError as error:
                    claim, profile = _reasons(error)
                    if claim == "ConditionalCheckFailed":
                        return
                    if not {claim, profile} & CONFLICTS or number == TRIES - 1:
                        raise
                    time.sleep(random.uniform(0, PAUSE_SECONDS))
                else:
                    return

    def latest(self, site_id: int, *, limit: int) -> Sequence[Profile]:
        """By the index, which follows the table within a moment. DynamoDB deletes late: times are compared."""
        since = timezone.now() - timedelta(days=self.days)
        after = self.visitors.last_seen > since
        with _told():
            items = list(self.visitors.latest.query(site_id, after, scan_index_forward=False, limit=limit))
        return [_profile(item) for item in items]

    def make_tables(self) -> Sequence[str]:
        """With their index, and with their times to live."""
        models = (self.visitors, self.claims)
        with _told():
            for model in models:
                model.create_table(billing_mode="PAY_PER_REQUEST", wait=True)
        return [model.Meta.table_name for model in models]

    def _counted(self, view: PageView, *, is_again: bool) -> VisitorItem:
        """The profile with the view; what was read before may be old, and so is asked for with consistency again."""
        key = f"{view.site_id}/{view.visitor}"
        try:
            item = self.visitors.get(key, consistent_read=is_again)
        except self.visitors.DoesNotExist:
            item = self.visitors(
                key, site=view.site_id, visitor=view.visitor, first_seen=view.time, last_seen=view.time
            )
        item.first_seen, item.last_seen = min(item.first_seen, view.time), max(item.last_seen, view.time)
        item.views += 1
        item.browser, item.system, item.device = view.browser, view.system, view.device
        item.expires = item.last_seen + timedelta(days=self.days)
        return item

    def _write(self, item: VisitorItem, view: PageView) -> None:
        """Claim and profile in one transaction: whoever dies in the middle has counted nothing."""
        claim = self.claims(f"{view.site_id}/{view.event_id}", expires=timezone.now() + CLAIM)
        # DynamoDB deletes late what has expired.
        is_free = self.claims.key.does_not_exist() | (self.claims.expires < timezone.now())
        with TransactWrite(connection=self._connection) as transaction:
            transaction.save(claim, condition=is_free)
            transaction.save(item)

    @cached_property
    def _connection(self) -> Connection:
        return Connection(**client_settings(self.options))


def _profile(item: VisitorItem) -> Profile:
    names = ("visitor", "first_seen", "last_seen", "browser", "system", "device")
    return Profile(views=int(item.views), **{name: getattr(item, name) for name in names})


def _reasons(error: TransactWriteError) -> tuple[str, str]:
    """Why the claim and the profile were refused, each empty where it was not."""
    codes = [reason.code if reason else "" for reason in error.cancellation_reasons]
    return (codes[0], codes[1]) if len(codes) == 2 else ("", "")


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except PynamoDBException as error:
        raise ProfileError(f"{error.msg}: {error.cause}") from error
