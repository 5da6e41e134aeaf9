"""The dashboards, the overview of all websites, and the text report."""
