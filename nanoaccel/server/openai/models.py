"""``/v1/models``."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from nanoaccel.server.api_error import ApiError
from nanoaccel.server.models.entry import Entry
from nanoaccel.server.service import Service


class ModelsEndpoints:
    """Lists the models and shows one.

    Args:
        service: Has them.
        created: When the server began, seconds since 1970.
    """

    def __init__(self, service: Service, created: int) -> None:
        self._service = service
        self._created = created

    async def list(self, _: Request) -> Response:
        """All models."""
        models = [
            self._shown(entry, adapter)
            for entry in self._service.models.entries
            for adapter in (None, *entry.adapter_names())
        ]
        return JSONResponse({"object": "list", "data": models})

    async def show(self, request: Request) -> Response:
        """One model."""
        try:
            found = self._service.models.find_with_adapter(request.path_params["model"])
        except ApiError as error:
            return JSONResponse(error.body(), error.status)
        return JSONResponse(self._shown(*found))

    def _shown(self, entry: Entry, adapter: str | None) -> dict[str, Any]:
        model = entry.model
        return {
            "id": entry.name if adapter is None else f"{entry.name}:{adapter}",
            "object": "model",
            "created": self._created,
            "owned_by": "nanoaccel",
            "parent": None if adapter is None else entry.name,
            "loaded": model is not None,
            "max_model_len": None if model is None else model.client.context_length,
        }
