"""How each engine is opened and asked; what runs inside a worker's process.

Each adapter is in a file of its own and is imported only where it is used: llama.cpp's interpreter
may have no NanoAccel.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Protocol

Prompts = list[list[int]]
Times = tuple[float, float, int]

_PACKAGE = "benchmarks.harness.adapters"
ADAPTERS = {
    "nanoaccel": "nanoaccel:NanoAccel",
    "nanoaccel-serving": "nanoaccel:NanoAccelServing",
    "nanoaccel-dialogues": "dialogues:Dialogues",
    "genai": "genai:OpenVINOGenAI",
    "genai-serving": "genai:OpenVINOGenAIServing",
    "onnxruntime-genai": "onnxruntime_genai:OnnxRuntimeGenAI",
    "transformers": "transformers:Transformers",
    "llama.cpp": "llama_cpp:LlamaCpp",
}


class Adapter(Protocol):
    """An engine that is open. It is made from what it opens and from its options.

    It has ``generate``, or ``play`` if it serves requests that come at their own times.
    """

    def generate(self, prompts: Prompts, max_tokens: int, ignore_eos: bool) -> Times:
        """Answer prompts at once, greedily.

        Returns:
            Seconds until each has its first token, seconds until all have ended, and the number of
            generated tokens.
        """

    def play(self, load: dict[str, Any]) -> list[tuple[float, list[float]]]:
        """Run a load, as ``Load.to_json`` gives it, to its end.

        Returns:
            For each request when it was asked, and when each of its tokens came, in seconds.
        """

    def close(self) -> None:
        """Give up what the engine holds."""


def open_adapter(name: str, folder: str, options: dict[str, Any]) -> Adapter:
    """Open an engine.

    Args:
        name: A key of ``ADAPTERS``.
        folder: What it opens.
        options: Its own options.
    """
    module, attribute = ADAPTERS[name].split(":")
    adapter: Adapter = getattr(import_module(f"{_PACKAGE}.{module}"), attribute)(folder, options)
    return adapter
