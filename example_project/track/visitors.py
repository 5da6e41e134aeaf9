"""Visitors as numbers that mean nothing: no address is stored, and nobody is followed from day to day."""

from __future__ import annotations

import hashlib
from datetime import date

from django.conf import settings


def visitor_hash(site_id: int, *, day: date, address: str, user_agent: str) -> str:
    """16 hex digits for one visitor of one website on one day.

    The day and the website are part of what is hashed, so that the same person has another number tomorrow
    and elsewhere; the salt keeps anybody from trying all addresses.
    """
    said = f"{site_id}\n{day.isoformat()}\n{address}\n{user_agent}".encode()
    salt = hashlib.sha256(settings.VISITOR_SALT.encode()).digest()
    return hashlib.blake2b(said, key=salt, digest_size=8).hexdigest()
