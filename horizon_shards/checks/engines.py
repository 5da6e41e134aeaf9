"""What kind of database an alias is, without connecting to it."""

from __future__ import annotations

from django.core.exceptions import ImproperlyConfigured
from django.db import connections


def vendor_of(alias: str) -> str:
    """The vendor (``"sqlite"``, ``"mysql"`` ...) of a physical alias.

    Where the driver is not installed, the ENGINE stands for it: a check must not stop at a missing driver.
    """
    try:
        return str(connections[alias].vendor)
    except (ImproperlyConfigured, ImportError):
        return str(connections.settings[alias]["ENGINE"]).rpartition(".")[2]
