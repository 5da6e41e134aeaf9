"""Hourly and daily counts per website, made from the page views."""
