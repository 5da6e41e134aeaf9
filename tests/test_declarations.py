"""Declarations of models that state nothing themselves."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group, User
from django.db.models import Model

from horizon_shards.declarations import Declaration, declaration_of, declare_by_default
from tests.shop.models import Visit


@pytest.fixture(autouse=True)
def no_rule_afterwards():
    yield
    declare_by_default(None)


def by_id(model: type[Model]) -> Declaration:
    return Declaration(model._meta.label_lower, "track", "sharded", ("id",))


def test_a_rule_declares_what_nothing_else_does() -> None:
    declare_by_default(by_id)
    assert declaration_of(Group) == Declaration("auth.group", "track", "sharded", ("id",))
    stated = declaration_of(Visit)
    assert stated is not None
    assert stated.key == ("site",)


def test_an_automatic_table_follows_its_owner_by_the_rule_too() -> None:
    declare_by_default(by_id)
    assert declaration_of(User.groups.through) == Declaration("auth.user_groups", "track", "sharded", ("user",))


def test_without_a_rule_nothing_is_declared() -> None:
    declare_by_default(by_id)
    declaration_of(Group)
    declare_by_default(None)
    assert declaration_of(Group) is None
