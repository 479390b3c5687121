"""``/v1/engine``: the machine, and what runs on it."""

from __future__ import annotations

import asyncio
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from nanoaccel.bundle import Bundle
from nanoaccel.errors import NanoAccelError
from nanoaccel.runtime.cpu.machine import this_machine
from nanoaccel.runtime.cpu.memory import free_memory
from nanoaccel.server.models.entry import Entry
from nanoaccel.server.models.model import Model
from nanoaccel.server.service import Service


class EngineEndpoint:
    """Tells what answers come from.

    Args:
        service: The server.
    """

    def __init__(self, service: Service) -> None:
        self._service = service

    async def show(self, _: Request) -> Response:
        """Version, machine and models; nothing of requests."""
        entries = self._service.models.entries
        facts = await asyncio.to_thread(lambda: [_model(entry) for entry in entries])
        machine = await asyncio.to_thread(_machine)
        return JSONResponse(
            {
                "object": "engine",
                "version": _version(),
                "machine": machine,
                "models": facts,
            }
        )


def _version() -> str:
    try:
        return version("nanoaccel")
    except PackageNotFoundError:  # a source tree that is not installed
        return "unknown"


def _machine() -> dict[str, Any]:
    """What this process may use of which machine; memory in bytes."""
    machine = this_machine()
    topology, allowance = machine.topology, machine.allowance
    return {
        "cpu": topology.name,
        "architecture": topology.architecture,
        "system": topology.system,
        "instructions": topology.instructions,
        "sockets": len(topology.packages),
        "numa_nodes": len(topology.nodes),
        "cores": len(topology.cores),
        "cpus": len(topology.cpus),
        "allowed_cpus": len(allowance.cpus),
        "cpu_quota": allowance.quota,
        "memory_limit": allowance.memory,
        "free_memory": free_memory(),
    }


def _model(entry: Entry) -> dict[str, Any]:
    """A model and its engine; the latter only while it is loaded."""
    model = entry.model
    return {
        "id": entry.name,
        "loaded": model is not None,
        "memory": entry.memory,
        **_bundle(entry),
        "engine": None if model is None else _engine(model),
    }


def _bundle(entry: Entry) -> dict[str, Any]:
    try:
        manifest = Bundle.open(entry.bundle).manifest
    except NanoAccelError:  # it was there when the server began
        manifest = None
    if manifest is None:
        return {"source": None, "parameters": None, "recipe": None}
    return {
        "source": manifest.source.get("id"),
        "parameters": manifest.target.parameters,
        "recipe": dict(manifest.recipe),
    }


def _engine(model: Model) -> dict[str, Any]:
    client = model.client
    info = client.info
    return {
        "backend": info.name,
        "device": info.device,
        "engines": client.replicas,
        "threads": info.threads,
        "cache_precision": info.cache_precision,
        "batch_invariant": info.batch_invariant,
        "context_length": client.context_length,
    }
