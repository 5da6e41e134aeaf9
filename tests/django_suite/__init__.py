"""Django's own test suite on shards: ``python -m tests.django_suite``; no test of Django is copied here."""
