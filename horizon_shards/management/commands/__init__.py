"""Commands of this package, and those of Django that mean something else on a logical database."""
