"""The table of engines: what each opens, how it is opened, and with which options."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.harness.exports import Exports
from benchmarks.harness.worker import Worker

LLAMA = "llama.cpp"
PLAIN = {"speculation": "off"}


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine that can be measured.

    Args:
        adapter: A key of ``ADAPTERS``.
        make: Makes what it opens, unless it is there.
        about: What it is, in words.
        options: Of the adapter.
    """

    adapter: str
    make: Callable[[Exports], Path]
    about: str
    options: Mapping[str, object] = field(default_factory=dict)

    def start(
        self,
        exports: Exports,
        options: Mapping[str, object] | None = None,
        *,
        watch_memory: bool = False,
    ) -> Worker:
        """Start a process that opens it.

        Args:
            exports: What it opens is one of them.
            options: Besides its own, or instead of them.
            watch_memory: Follow its memory from the start.
        """
        return Worker(
            self.adapter,
            self.make(exports),
            {**self.options, **(options or {})},
            python=exports.llama_python if self.adapter == LLAMA else sys.executable,
            watch_memory=watch_memory,
        )


def _ours(backend: str) -> Engine:
    about = f"NanoAccel, plain, backend {backend}"
    return Engine("nanoaccel", Exports.bundle, about, {"backend": backend, **PLAIN})


def _torch(dtype: str) -> Engine:
    return Engine("transformers", Exports.source, f"transformers, {dtype}", {"dtype": dtype})


def _genai_serving(make: Callable[[Exports], Path], about: str) -> Engine:
    options = {"cache_size": 2, "enable_prefix_caching": False}
    return Engine("genai-serving", make, f"OpenVINO GenAI's continuous batching, {about}", options)


def _serving(about: str, **options: object) -> Engine:
    options["prefix_cache"] = False
    return Engine("nanoaccel-serving", Exports.bundle, f"NanoAccel, {about}, serving", options)


ENGINES = {
    "nanoaccel-openvino": _ours("openvino"),
    "nanoaccel-onnx": _ours("onnx"),
    "nanoaccel-auto": _ours("auto"),
    "nanoaccel-default": Engine("nanoaccel", Exports.bundle, "NanoAccel, default settings"),
    "genai": Engine("genai", Exports.genai, "OpenVINO GenAI, NNCF's default int4"),
    "genai-sym": Engine("genai", Exports.genai_symmetric, "OpenVINO GenAI, NNCF's symmetric int4"),
    "genai-lookup": Engine(
        "genai",
        Exports.genai_symmetric,
        "OpenVINO GenAI, int4 --sym, prompt lookup",
        {"lookup": True},
    ),
    "onnxruntime-genai": Engine(
        "onnxruntime-genai", Exports.onnxruntime_genai, "onnxruntime-genai, its builder's int4"
    ),
    LLAMA: Engine(LLAMA, Exports.q4_0, "llama.cpp, Q4_0"),
    "transformers-f32": _torch("float32"),
    "transformers-bf16": _torch("bfloat16"),
    "nanoaccel-default-serving": _serving("default settings"),
    "nanoaccel-plain-serving": _serving("plain", **PLAIN),
    "genai-serving": _genai_serving(Exports.genai, "NNCF's default int4"),
    "genai-sym-serving": _genai_serving(Exports.genai_symmetric, "NNCF's symmetric int4"),
}
