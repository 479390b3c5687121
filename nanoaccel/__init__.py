"""NanoAccel: export language models to compressed OpenVINO or ONNX bundles and run them on CPUs."""

from __future__ import annotations

import logging
from importlib import import_module
from typing import TYPE_CHECKING

from nanoaccel.telemetry import switch_off

if TYPE_CHECKING:
    from nanoaccel.bundle import Bundle
    from nanoaccel.errors import NanoAccelError
    from nanoaccel.exporters.pipeline import export
    from nanoaccel.exporters.quantize.recipe import Recipe
    from nanoaccel.runtime.async_llm import AsyncLLM
    from nanoaccel.runtime.engine.metrics import Counters
    from nanoaccel.runtime.kv import CacheEviction
    from nanoaccel.runtime.llm import LLM
    from nanoaccel.runtime.sampling import Grammar, SamplingParams
    from nanoaccel.runtime.scheduling.options import RequestOptions
    from nanoaccel.runtime.types.events import Event
    from nanoaccel.runtime.types.outputs import Chunk, Completion, RequestOutput
    from nanoaccel.text import ChatOptions

    __version__: str = ""

switch_off()
# Programs decide whether and where the log is written.
logging.getLogger(__name__).addHandler(logging.NullHandler())

# Imported on first use, so that neither side loads the libraries of the other.
_HOMES = {
    "LLM": "nanoaccel.runtime.llm",
    "AsyncLLM": "nanoaccel.runtime.async_llm",
    "Bundle": "nanoaccel.bundle",
    "CacheEviction": "nanoaccel.runtime.kv",
    "ChatOptions": "nanoaccel.text",
    "Chunk": "nanoaccel.runtime.types.outputs",
    "Completion": "nanoaccel.runtime.types.outputs",
    "Counters": "nanoaccel.runtime.engine.metrics",
    "Event": "nanoaccel.runtime.types.events",
    "Grammar": "nanoaccel.runtime.sampling",
    "NanoAccelError": "nanoaccel.errors",
    "Recipe": "nanoaccel.exporters.quantize.recipe",
    "RequestOptions": "nanoaccel.runtime.scheduling.options",
    "RequestOutput": "nanoaccel.runtime.types.outputs",
    "SamplingParams": "nanoaccel.runtime.sampling",
    "export": "nanoaccel.exporters.pipeline",
}

__all__ = [
    "LLM",
    "AsyncLLM",
    "Bundle",
    "CacheEviction",
    "ChatOptions",
    "Chunk",
    "Completion",
    "Counters",
    "Event",
    "Grammar",
    "NanoAccelError",
    "Recipe",
    "RequestOptions",
    "RequestOutput",
    "SamplingParams",
    "__version__",
    "export",
]


def __getattr__(name: str) -> object:
    if name == "__version__":
        value: object = _find_version()
    elif name in _HOMES:
        value = getattr(import_module(_HOMES[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _find_version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(__name__)
    except PackageNotFoundError:  # a source tree that is not installed
        return "unknown"
