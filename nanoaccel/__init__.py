"""NanoAccel: export language models to compressed OpenVINO bundles and run them on CPUs."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nanoaccel.bundle import Bundle
    from nanoaccel.errors import NanoAccelError
    from nanoaccel.exporters.pipeline import export
    from nanoaccel.exporters.recipe import Recipe
    from nanoaccel.runtime.llm import LLM
    from nanoaccel.runtime.output import Chunk, Completion, RequestOutput
    from nanoaccel.runtime.sampling import SamplingParams

    __version__: str = ""

# Imported on first use, so that neither side loads the libraries of the other.
_HOMES = {
    "LLM": "nanoaccel.runtime.llm",
    "Bundle": "nanoaccel.bundle",
    "Chunk": "nanoaccel.runtime.output",
    "Completion": "nanoaccel.runtime.output",
    "NanoAccelError": "nanoaccel.errors",
    "Recipe": "nanoaccel.exporters.recipe",
    "RequestOutput": "nanoaccel.runtime.output",
    "SamplingParams": "nanoaccel.runtime.sampling",
    "export": "nanoaccel.exporters.pipeline",
}

__all__ = [
    "LLM",
    "Bundle",
    "Chunk",
    "Completion",
    "NanoAccelError",
    "Recipe",
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
