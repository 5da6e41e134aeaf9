"""The app of the Redshift tests."""
