"""The URLs: the dashboards at the root, the tracker under ``/t/``, the admin."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.staticfiles.urls import staticfiles_urlpatterns
from django.urls import include, path

admin.site.site_header = admin.site.site_title = "Horizon analytics"

urlpatterns = [
    path("admin/", admin.site.urls),
    path("t/", include("track.urls")),
    path("", include("report.urls")),
    *staticfiles_urlpatterns(),  # empty unless DEBUG: for servers other than runserver
]
