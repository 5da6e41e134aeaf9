"""The tracker's URLs."""

from __future__ import annotations

from django.urls import path

from track import views

app_name = "track"
urlpatterns = [
    path("p.gif", views.pixel, name="pixel"),
    path("event", views.event, name="event"),
    path("track.js", views.script, name="script"),
]
