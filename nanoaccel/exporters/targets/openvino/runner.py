"""Runs an exported graph over text, and measures its decoding speed."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nanoaccel.errors import ExportError
from nanoaccel.exporters.failures import reason_of
from nanoaccel.exporters.progress import silence
from nanoaccel.openvino_core import openvino_core

if TYPE_CHECKING:
    import openvino as ov

# Activations are not rounded to int8 either, which the CPU does by default.
_EXACT = {"INFERENCE_PRECISION_HINT": "f32", "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0}
_WARM_UP = 8
_STEPS = 48


class GraphRunner:
    """Runs a stateful graph in f32, so that only weights cause differences from the original.

    Args:
        graph: File of the graph, or the graph.

    Raises:
        ExportError: It does not compile.
    """

    def __init__(self, graph: Path | ov.Model) -> None:

        try:
            self._compiled = openvino_core().compile_model(graph, "CPU", _EXACT)
        except RuntimeError as error:
            raise _does_not_run(error) from error

    def logits(self, token_ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """Logits f32[T, V] over a sequence i64[T].

        Raises:
            ExportError: It does not run, or gives logits that are not numbers.
        """
        try:
            result = self._compiled.create_infer_request().infer(
                graph_inputs(self._compiled, token_ids)
            )
        except RuntimeError as error:
            raise _does_not_run(error) from error
        return _checked(result["logits"][0])


def run_over(
    graph: Path,
    windows: Sequence[NDArray[np.int64]],
    take: Callable[[int, NDArray[np.float32]], None],
    tell: Callable[[float], object] = silence,
) -> None:
    """Run a graph over texts as ``GraphRunner`` does, with one block of it in memory at a time.

    Args:
        graph: File of the graph.
        windows: i64[T] each.
        take: Called with the number of each window and its logits f32[T, V], in order.
        tell: Called with the share that is done.

    Raises:
        ExportError: It does not run, or gives logits that are not numbers.
    """

    from nanoaccel.exporters.targets.openvino.segments import SegmentedGraph

    model = openvino_core().read_model(graph)
    samples = [graph_inputs(model, window) for window in windows]
    try:
        SegmentedGraph(model, _EXACT).run(
            samples, lambda index, found: take(index, _checked(found["logits"][0])), tell
        )
    except RuntimeError as error:
        raise _does_not_run(error) from error


def fast_options() -> dict[str, str]:
    """Options of the CPU plugin: bf16 where the CPU multiplies it, several times as fast as f32.

    What is measured are means over many tokens and samples of activations, which weights are then
    rounded by; that they have 8 bits is of no weight.
    """
    import torch

    known: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()  # new in torch 2.10
    fast = known.get("avx512_bf16", False)
    return {"INFERENCE_PRECISION_HINT": "bf16" if fast else "f32"}


def _checked(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    if not np.isfinite(logits).all():
        raise ExportError(
            "the exported graph gives logits that are not numbers",
            "The model's weights may be damaged, or may need --weights bf16 or f32",
        )
    return logits


def decode_rate(graph: Path) -> float:
    """Tokens per second that a graph decodes for one request; used to compare recipes."""

    compiled = openvino_core().compile_model(graph, "CPU", {"PERFORMANCE_HINT": "LATENCY"})
    request = compiled.create_infer_request()
    seconds = []
    for step in range(_WARM_UP + _STEPS):
        inputs = graph_inputs(compiled, np.ones(1, np.int64), before=step)
        begin = time.perf_counter()
        request.infer(inputs)
        seconds.append(time.perf_counter() - begin)
    return 1 / statistics.median(seconds[_WARM_UP:])


def graph_inputs(
    graph: ov.Model | ov.CompiledModel, token_ids: NDArray[np.int64], before: int = 0
) -> dict[str, NDArray[Any]]:
    """What a stateful graph reads, for one sequence.

    Args:
        graph: The graph.
        token_ids: i64[T].
        before: Tokens that its state holds already.
    """
    count = len(token_ids)
    known: dict[str, NDArray[Any]] = {
        "input_ids": token_ids[None],
        "attention_mask": np.ones((1, before + count), np.int64),
        "position_ids": np.arange(before, before + count, dtype=np.int64)[None],
        "beam_idx": np.zeros(1, np.int32),
    }
    names = {value.get_any_name() for value in graph.inputs}
    return {name: array for name, array in known.items() if name in names}


def _does_not_run(error: RuntimeError) -> ExportError:
    return ExportError(
        f"the exported graph does not run: {reason_of(error)}",
        "Try other weights, or report it with the model's name",
    )
