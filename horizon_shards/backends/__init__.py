"""Database backends of this package."""
