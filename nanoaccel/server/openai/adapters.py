"""``/v1/load_lora_adapter`` and ``/v1/unload_lora_adapter``, as vLLM has them."""

from __future__ import annotations

import asyncio
from pathlib import Path

from nanoaccel.errors import AdapterError, ConfigError
from nanoaccel.server.api_error import ApiError, bad_request
from nanoaccel.server.http.call import Call
from nanoaccel.server.models.model import Model
from nanoaccel.server.openai.running import model_for


async def load_lora_adapter(call: Call) -> None:
    """Let requests have an adapter from a folder of this machine."""
    _check_allowed(call)
    name = _text(call, "lora_name")
    folder = Path(_text(call, "lora_path"))
    async with model_for(call) as model:
        if name in model.adapters():
            raise bad_request(
                f"the model {model.name!a} has an adapter {name[:80]!a} already. Unload it first",
                "lora_name",
            )
        try:
            await asyncio.to_thread(model.client.add_adapter, name, folder)
        except ConfigError as error:
            raise bad_request(str(error), "lora_name") from error
        except AdapterError as error:
            raise bad_request(str(error), "lora_path") from error
        await call.reply(_told(model, name, loaded=True))


async def unload_lora_adapter(call: Call) -> None:
    """Refuse further requests for an adapter; those that run end with it."""
    _check_allowed(call)
    name = _text(call, "lora_name")
    async with model_for(call) as model:
        try:
            model.client.remove_adapter(name)
        except ConfigError as error:
            raise ApiError(404, str(error), "adapter_not_found", "lora_name") from error
        await call.reply(_told(model, name, loaded=False))


def _check_allowed(call: Call) -> None:
    if not call.service.config.load_adapters:
        raise ApiError(
            403,
            "this server loads no adapters while it runs. Start it with --load-adapters",
            "adapters_are_fixed",
        )


def _text(call: Call, field: str) -> str:
    found = call.fields.typed(field, str, "")
    if not found:
        raise bad_request(f"{field} is missing. Name the adapter, and its folder", field)
    return found


def _told(model: Model, name: str, *, loaded: bool) -> dict[str, object]:
    return {"object": "adapter", "id": f"{model.name}:{name}", "loaded": loaded}
