"""Amazon Redshift as a Django database: a subclass of the running Django's PostgreSQL backend."""
