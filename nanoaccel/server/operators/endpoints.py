"""``/health``, ``/ready`` and ``/metrics``."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from nanoaccel.errors import ClosedError
from nanoaccel.runtime.engine.metrics import Counters
from nanoaccel.server.metrics.exposition import CONTENT_TYPE, ModelState, exposition
from nanoaccel.server.models.entry import Entry
from nanoaccel.server.service import Service


class OperatorEndpoints:
    """Tells how the server does.

    Args:
        service: The server.
    """

    def __init__(self, service: Service) -> None:
        self._service = service

    async def health(self, _: Request) -> Response:
        """Whether the process answers; asks no model."""
        return JSONResponse({"status": "ok"})

    async def ready(self, _: Request) -> Response:
        """Whether requests should be sent here: 503 while the first model loads, and at the end."""
        if self._service.is_ready:
            return JSONResponse({"status": "ready"})
        status = "stopping" if self._service.stopping else "loading"
        return JSONResponse({"status": status}, 503, {"Retry-After": "5"})

    async def metrics(self, _: Request) -> Response:
        """All metrics, for Prometheus."""
        entries = self._service.models.entries
        counters = await asyncio.gather(*(asyncio.to_thread(_counters, one) for one in entries))
        models = [
            ModelState(entry.name, found, entry.latencies)
            for entry, found in zip(entries, counters, strict=True)
        ]
        page = exposition(models, self._service.answers.items())
        return Response(page, headers={"Content-Type": CONTENT_TYPE})


def _counters(entry: Entry) -> Counters | None:
    model = entry.model
    try:
        return None if model is None else model.client.counters()
    except ClosedError:  # meanwhile
        return None
