"""The last resort: gather the rows of the tables concerned into a private SQLite database and ask that."""
