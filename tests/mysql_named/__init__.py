"""A SQLite engine that says it is MySQL, for checks that ask the engine's name and nothing else."""
