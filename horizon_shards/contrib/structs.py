"""A plain view that decodes by msgspec and puts into a sink; the extra ``msgspec``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_POST

from horizon_shards.exceptions import RecordRefused, SinkError
from horizon_shards.sinks import Record, Sink

Struct = TypeVar("Struct")


def struct_view(
    struct: type[Struct],
    make: Callable[[HttpRequest, Struct], Record | Model],
    *,
    sink: Callable[[], Sink],
    max_bytes: int = 64 * 1024,
) -> Callable[[HttpRequest], HttpResponse]:
    """A view that takes a JSON object of the type ``struct``, or a list of them, and puts what ``make`` makes of each.

    ``sink`` is called at each request, so that the settings decide. Answers 204; 400 with ``{"error": ...}`` for what
    is not of the type or cannot be sent; 413 for more than ``max_bytes``; 503 with ``Retry-After`` where the sink takes
    nothing now. Nothing of a list is put unless all of it is valid. CSRF is the caller's affair.
    """
    decoder = msgspec.json.Decoder(struct)
    list_decoder = msgspec.json.Decoder(list[struct])  # type: ignore[valid-type]

    @require_POST
    def view(request: HttpRequest) -> HttpResponse:
        # No more than that is ever read, whatever length is announced.
        body = request.read(max_bytes + 1)
        if len(body) > max_bytes:
            return _problem(413, f"The report is larger than {max_bytes} bytes.")
        try:
            found: list[Struct] = list_decoder.decode(body) if _is_list(body) else [decoder.decode(body)]
            _put(sink(), [make(request, each) for each in found])
        except (msgspec.DecodeError, RecordRefused) as error:
            return _problem(400, str(error))
        except SinkError:
            answer = _problem(503, "This cannot be taken now.")
            answer["Retry-After"] = "5"
            return answer
        return HttpResponse(status=204)

    return view


def _is_list(body: bytes) -> bool:
    return body.lstrip()[:1] == b"["


def _put(sink: Sink, records: list[Record | Model]) -> None:
    if len(records) == 1:
        sink.put(records[0])
    else:
        sink.put_many(records)


def _problem(status: int, text: str) -> HttpResponse:
    return JsonResponse({"error": text}, status=status)
