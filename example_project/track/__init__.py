"""Websites and the page views that are collected for them."""
