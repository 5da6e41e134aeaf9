"""System checks: what can be seen to be wrong before the first query."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig, apps
from django.core.checks import CheckMessage, Tags, register
from django.db.models import Model

from horizon_shards.checks.caches import check_caches
from horizon_shards.checks.catalogue import CATALOGUE
from horizon_shards.checks.connections import check_budget, check_servers
from horizon_shards.checks.mapping import check_mappings, check_stored_assignments
from horizon_shards.checks.settings import check_settings
from horizon_shards.checks.sinks import check_sinks
from horizon_shards.checks.two_phase import check_prepared_transactions

#: ``manage.py check --tag horizon_shards`` runs these checks alone.
TAG = "horizon_shards"


def check_model(model: type[Model]) -> list[CheckMessage]:
    """All problems of one concrete model."""
    from horizon_shards.checks.composite import check_composite_keys
    from horizon_shards.checks.many_to_many import check_many_to_many
    from horizon_shards.checks.models import check_declaration
    from horizon_shards.checks.redshift import check_redshift
    from horizon_shards.checks.relations import check_relations
    from horizon_shards.checks.uniqueness import check_uniqueness

    return [
        *check_declaration(model),
        *check_uniqueness(model),
        *check_relations(model),
        *check_many_to_many(model),
        *check_composite_keys(model),
        *check_redshift(model),
    ]


def check_models(*, app_configs: Sequence[AppConfig] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """All problems of the installed models, or of those of some apps."""
    found = (config.get_models() for config in (app_configs or apps.get_app_configs()))
    concrete = [model for group in found for model in group if not model._meta.proxy]
    return [message for model in concrete for message in check_model(model)]


def register_checks() -> None:
    """Tell Django of the checks; called once, when the app is ready."""
    register(check_settings, TAG)
    register(check_sinks, TAG)
    register(check_caches, TAG)
    register(check_budget, TAG)
    register(check_mappings, TAG)
    register(check_models, TAG, Tags.models)
    register(check_stored_assignments, TAG, Tags.database)
    register(check_prepared_transactions, TAG, Tags.database)
    register(check_servers, TAG, Tags.database)


__all__ = ["CATALOGUE", "check_model", "check_models", "register_checks"]
