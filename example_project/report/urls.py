"""The URLs of the pages."""

from __future__ import annotations

from django.urls import path

from report import screenshots, views

app_name = "report"
urlpatterns = [
    path("", views.overview, name="overview"),
    path("trends/", views.trends, name="trends"),
    path("sites/<str:key>/", views.site, name="site"),
    path("sites/<str:key>/screenshots/", screenshots.ask, name="screenshots"),
    path("sites/<str:key>/screenshots/<str:name>", screenshots.image, name="screenshot"),
]
