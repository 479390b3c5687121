"""The runtimes that a bundle is made for."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeAlias, get_args

from nanoaccel.errors import ConfigError
from nanoaccel.registry import RUNTIME_CHOOSERS, did_you_mean

Runtime: TypeAlias = Literal["openvino", "onnx", "both", "auto"]

OPENVINO, ONNX = "openvino", "onnx"
# The file of the graph, relative to the bundle.
GRAPHS = {OPENVINO: "openvino/openvino_model.xml", ONNX: "onnx/model.onnx"}


def wanted_runtimes(choice: str) -> tuple[str, ...]:
    """Names of the backends to export for, the preferred one first.

    Args:
        choice: "openvino", "onnx", "both", or "auto", which exports for both and keeps what is
            faster.

    Raises:
        ConfigError: It is none of these.
    """
    known = get_args(Runtime)
    if choice not in known:
        raise ConfigError(f"runtime={choice!r} is unknown", did_you_mean(choice, list(known)))
    return tuple(GRAPHS) if choice in ("both", "auto") else (choice,)


def faster_runtimes(folder: Path, written: tuple[str, ...]) -> tuple[str, ...]:
    """Which of the runtimes to keep: those that are the fastest at something, measured here.

    Args:
        folder: Of the bundle in the making, with a graph for each.
        written: Their names.

    Returns:
        Their names, the best for a single request first.
    """
    choose = RUNTIME_CHOOSERS.resolve("measured")
    return tuple(choose({name: folder / GRAPHS[name] for name in written}))
