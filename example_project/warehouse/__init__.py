"""The facts of all websites in one place, for questions across them."""
