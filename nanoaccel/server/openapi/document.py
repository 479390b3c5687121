"""The OpenAPI document, from the table of operations."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from nanoaccel.server.config import ServerConfig
from nanoaccel.server.openapi.answers import SCHEMAS
from nanoaccel.server.openapi.kinds import TEXT, Schema, ref
from nanoaccel.server.openapi.operations import Operation, operations

_PARAMETER = re.compile(r"\{(\w+)\}")
_ABOUT = (
    "Paths under /v1 work without it too. Fields that are not described are ignored, and named in "
    "the header X-NanoAccel-Ignored."
)
_KEYS = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "header": {"type": "apiKey", "in": "header", "name": "X-Api-Key"},
}


class OpenApiEndpoint:
    """Shows the document at ``/openapi.json``; it names no model, and needs no key.

    Args:
        config: Its limits are in the document, and whether there are keys.
    """

    def __init__(self, config: ServerConfig) -> None:
        self._document = openapi_document(config)

    async def show(self, _: Request) -> Response:
        """The document."""
        return JSONResponse(self._document)


def openapi_document(config: ServerConfig) -> dict[str, Any]:
    """OpenAPI 3.1 of a server.

    Args:
        config: How it runs.
    """
    paths: dict[str, dict[str, Any]] = {}
    for (method, path), operation in operations(config.limits).items():
        keyed = bool(config.api_keys) and not operation.is_open
        paths.setdefault(path, {})[method.lower()] = _described(path, operation, keyed=keyed)
    return {
        "openapi": "3.1.0",
        "info": {"title": "NanoAccel", "version": "1", "description": _ABOUT},
        "paths": paths,
        "components": {
            "schemas": SCHEMAS,
            "responses": {
                name: _answer("What is wrong.", {"application/json": ref(name)})
                for name in ("Error", "AnthropicError")
            },
            "securitySchemes": _KEYS,
        },
    }


def _described(path: str, operation: Operation, *, keyed: bool) -> dict[str, Any]:
    media = {operation.media: operation.answer}
    if operation.events is not None:
        media["text/event-stream"] = operation.events
    error = {"$ref": f"#/components/responses/{operation.error}"}
    made: dict[str, Any] = {
        "summary": operation.summary,
        "operationId": re.sub(r"\W+", "_", path.removeprefix("/v1")).strip("_"),
        "responses": {
            "200": _answer("The answer.", media),
            "4XX": error,
            "5XX": error,
        },
        "security": [{name: []} for name in _KEYS] if keyed else [],
    }
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": TEXT}
        for name in _PARAMETER.findall(path)
    ] + [{"name": name, "in": "query", "schema": one} for name, one in operation.parameters.items()]
    if parameters:
        made["parameters"] = parameters
    if operation.fields:
        made["requestBody"] = {"required": True, "content": {"application/json": _body(operation)}}
    return made


def _body(operation: Operation) -> dict[str, Any]:
    properties = {
        name: one if name in operation.required else _or_null(one)
        for name, one in operation.fields.items()
    }
    schema = {"type": "object", "properties": properties, "required": list(operation.required)}
    examples = {f"{place}": {"value": one} for place, one in enumerate(operation.examples, 1)}
    return {"schema": schema, "examples": examples}


def _or_null(schema: Schema) -> Schema:
    """The schema of a field that may be null."""
    rules = {name: rule for name, rule in schema.items() if name != "description"}
    if rules.get("type") == "null":
        return schema
    shown = {"description": schema["description"]} if "description" in schema else {}
    return {**shown, "anyOf": [rules, {"type": "null"}]}


def _answer(description: str, media: Mapping[str, Schema]) -> dict[str, Any]:
    content = {kind: {"schema": schema} for kind, schema in media.items()}
    return {"description": description, "content": content}
