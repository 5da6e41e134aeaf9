"""What makes queries slow on Redshift, found in models, in querysets, and in a cluster that is connected."""

from horizon_shards.backends.redshift.advice.findings import Finding
from horizon_shards.backends.redshift.advice.joins import advise_queryset, redistributions
from horizon_shards.backends.redshift.advice.live import advise_database
from horizon_shards.backends.redshift.advice.models import advise_models
from horizon_shards.backends.redshift.advice.watching import watch

__all__ = ["Finding", "advise_database", "advise_models", "advise_queryset", "redistributions", "watch"]
