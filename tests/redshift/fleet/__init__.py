"""Sales spread over Redshift databases."""
