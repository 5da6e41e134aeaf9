"""The views whose speed :mod:`benchmarks.sinks` measures."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import msgspec
from django.http import HttpRequest
from rest_framework import generics
from rest_framework.serializers import ModelSerializer

from benchmarks.models import PageView
from horizon_shards.contrib.rest import SinkModelSerializer
from horizon_shards.contrib.structs import struct_view
from horizon_shards.sinks import get_sink, sink_of


class PageViewSerializer(SinkModelSerializer):
    """One page view."""

    class Meta:
        model = PageView
        fields = ["site", "at", "path", "ms"]


def collect_view(*, many: bool) -> Any:
    """A view that creates one page view, or a list of them."""

    class Collect(generics.CreateAPIView):
        authentication_classes = ()
        permission_classes = ()

        def get_serializer(self, *args: Any, **kwargs: Any) -> Any:
            return PageViewSerializer(*args, many=many, **kwargs)

    return Collect.as_view()


class WaitingSerializer(ModelSerializer):
    """One page view, sent while the visitor waits."""

    class Meta(PageViewSerializer.Meta):
        pass

    def create(self, validated_data: dict[str, Any]) -> PageView:
        """Send it by a call of its own."""
        line = json.dumps(validated_data, default=str).encode() + b"\n"
        get_sink("track").client().put_record(DeliveryStreamName="page-views", Record={"Data": line})
        return PageView(**validated_data)


def waiting_view() -> Any:
    """A view whose serializer calls ``put_record``."""

    class Waiting(generics.CreateAPIView):
        authentication_classes = ()
        permission_classes = ()
        serializer_class = WaitingSerializer

    return Waiting.as_view()


class Report(msgspec.Struct):
    """What the plain view takes."""

    site: int
    at: datetime
    path: str
    ms: int


def struct_collect_view() -> Any:
    """A plain view that creates one page view."""

    def view_of(request: HttpRequest, report: Report) -> PageView:
        return PageView(site=report.site, at=report.at, path=report.path, ms=report.ms)

    return struct_view(Report, view_of, sink=lambda: sink_of(PageView))
