"""These tests have settings of their own, and so a run of their own (see pytest.ini)."""

from __future__ import annotations

import pytest
from django.conf import settings

if "elsewhere" not in settings.DATABASES:
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture
def ann(db):
    """A customer."""
    from tests.redshift.warehouse.models import Customer

    return Customer.objects.create(name="Ann")
