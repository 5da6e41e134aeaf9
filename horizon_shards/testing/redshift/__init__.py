"""A strict local Redshift on PostgreSQL 15: ``ENGINE = "horizon_shards.testing.redshift"``, for development and tests.

What Redshift does not accept is refused with the rule that it breaks; the rest is translated and executed. The check
shares nothing with ``horizon_shards.backends.redshift``, so that the one can find the faults of the other.
"""

from horizon_shards.testing.redshift.check import RedshiftRefuses, Refusal, check_sql

__all__ = ["RedshiftRefuses", "Refusal", "check_sql"]
