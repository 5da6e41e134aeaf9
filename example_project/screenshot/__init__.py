"""Screenshots of the pages of websites, taken by a real browser."""
