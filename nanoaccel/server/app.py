"""The routes, and what stands before all of them."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from nanoaccel.server.anthropic.events import AnthropicDialect
from nanoaccel.server.anthropic.messages import count_tokens, messages
from nanoaccel.server.api_error import ApiError, api_error
from nanoaccel.server.http.access import CheckHost, LimitHeaders, RefuseSurplus, RequireKey
from nanoaccel.server.http.dialect import Dialect, OpenAIDialect, error_content
from nanoaccel.server.http.endpoint import Handler, JsonEndpoint
from nanoaccel.server.http.request_log import RequestLog
from nanoaccel.server.openai.adapters import load_lora_adapter, unload_lora_adapter
from nanoaccel.server.openai.chat import chat_completions
from nanoaccel.server.openai.completions import completions
from nanoaccel.server.openai.embeddings import embeddings
from nanoaccel.server.openai.models import ModelsEndpoints
from nanoaccel.server.openapi.document import OpenApiEndpoint
from nanoaccel.server.operators.endpoints import OperatorEndpoints
from nanoaccel.server.operators.machine import EngineEndpoint
from nanoaccel.server.page import page_routes
from nanoaccel.server.plugged import plugged_routes
from nanoaccel.server.responses.endpoint import count_input_tokens, responses
from nanoaccel.server.responses.events import ResponsesDialect
from nanoaccel.server.service import Service
from nanoaccel.server.tokens import TokenizerInfo, apply_template, detokenize, tokenize

_APIS: dict[str, tuple[Handler, Callable[[], Dialect]]] = {
    "/chat/completions": (chat_completions, OpenAIDialect),
    "/completions": (completions, OpenAIDialect),
    "/embeddings": (embeddings, OpenAIDialect),
    "/responses": (responses, ResponsesDialect),
    "/responses/input_tokens": (count_input_tokens, ResponsesDialect),
    "/load_lora_adapter": (load_lora_adapter, OpenAIDialect),
    "/unload_lora_adapter": (unload_lora_adapter, OpenAIDialect),
    "/messages": (messages, AnthropicDialect),
    "/messages/count_tokens": (count_tokens, AnthropicDialect),
}
_TOKENS: dict[str, Handler] = {
    "/tokenize": tokenize,
    "/detokenize": detokenize,
    "/apply-template": apply_template,
}
_ALLOWED = (
    "Authorization", "Content-Type", "X-Api-Key", "X-Request-Id", "Anthropic-Version",
    "Anthropic-Beta", "Anthropic-Dangerous-Direct-Browser-Access",
)  # fmt: skip
# What a batch file may name.
BATCH_URLS = ("/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses")
_EXPOSED = ("X-Request-Id", "X-NanoAccel-Ignored", "Retry-After")


def create_app(service: Service) -> ASGIApp:
    """The ASGI application.

    Args:
        service: What its endpoints work with; whoever runs the application opens and closes it.
    """
    handlers = {HTTPException: _http_error, Exception: _failure}
    app = Starlette(routes=_routes(service), exception_handlers=handlers)
    config = service.config
    # The last one added sees a request first.
    app.add_middleware(CheckHost, config=config)
    app.add_middleware(RefuseSurplus, most=config.max_connections)
    if config.cors:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=config.cors,
            allow_methods=("GET", "POST"),
            allow_headers=_ALLOWED,
            expose_headers=_EXPOSED,
        )
    app.add_middleware(LimitHeaders, limit=config.limits.header_bytes)
    return RequestLog(app, service.answers)


def _routes(service: Service) -> list[BaseRoute]:
    guarded = [Middleware(RequireKey, keys=service.config.api_keys)]
    operators = OperatorEndpoints(service)
    engine = EngineEndpoint(service)
    models = ModelsEndpoints(service, int(time.time()))

    def post(path: str, handler: Handler, dialect: Callable[[], Dialect] = OpenAIDialect) -> Route:
        endpoint = JsonEndpoint(service, handler, dialect)
        return Route(path, endpoint, methods=["POST"], middleware=guarded)

    def get(path: str, endpoint: Callable[[Request], Awaitable[Response]]) -> Route:
        return Route(path, endpoint, methods=["GET"], middleware=guarded)

    routes: list[BaseRoute] = [
        *page_routes(),
        Route("/health", operators.health, methods=["GET"]),
        Route("/ready", operators.ready, methods=["GET"]),
        Route("/openapi.json", OpenApiEndpoint(service.config).show, methods=["GET"]),
        get("/metrics", operators.metrics),
        get("/tokenizer_info", TokenizerInfo(service).show),
    ]
    routes += [post(path, handler) for path, handler in _TOKENS.items()]
    routes += plugged_routes(service.models, guarded)
    for prefix in ("/v1", ""):
        routes += [post(f"{prefix}{path}", *served) for path, served in _APIS.items()]
        routes.append(get(f"{prefix}/engine", engine.show))
        routes.append(get(f"{prefix}/models", models.list))
        routes.append(get(f"{prefix}/models/{{model}}", models.show))
    return routes


async def _http_error(request: Request, error: Exception) -> Response:
    """What starlette refuses: unknown paths and methods."""
    assert isinstance(error, HTTPException)
    phrase = HTTPStatus(error.status_code).phrase.lower()
    path = request.url.path
    message = {
        404: f"there is no {path:.200}; /openapi.json lists the paths",
        405: f"{request.method} is not allowed at {path:.200}; /openapi.json lists the methods",
    }.get(error.status_code, phrase)
    told = ApiError(error.status_code, message, phrase.replace(" ", "_"))
    headers = None if error.headers is None else dict(error.headers)
    return JSONResponse(error_content(told, path), error.status_code, headers)


async def _failure(request: Request, error: Exception) -> Response:
    """What is answered where a handler fails; the error is raised again, and logged."""
    told = api_error(error)
    return JSONResponse(error_content(told, request.url.path), told.status)
