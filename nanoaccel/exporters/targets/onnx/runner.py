"""Runs a packed ONNX graph over text, in f32."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanoaccel.bundle import exact_graph
from nanoaccel.errors import ExportError
from nanoaccel.exporters.targets.onnx import names

_FATAL_ONLY = 4  # errors come as exceptions, and would be told twice, in colors


class OnnxRunner:
    """A graph whose activations are not rounded: what differs is the weights' doing.

    Args:
        graph: File of the graph; the exact one beside it is run where there is one.

    Raises:
        ExportError: It does not load.
    """

    def __init__(self, graph: Path) -> None:
        import onnxruntime as ort

        ort.set_default_logger_severity(_FATAL_ONLY)
        options = ort.SessionOptions()
        options.log_severity_level = _FATAL_ONLY
        exact = exact_graph(graph)
        try:
            self._session = ort.InferenceSession(
                exact if exact.is_file() else graph, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # each of its errors is an Exception of its own
            raise _does_not_run(error) from error
        self._inputs = {value.name: value for value in self._session.get_inputs()}

    @property
    def caches(self) -> list[str]:
        """Names of the inputs that are caches."""
        return [name for name in self._inputs if name.startswith(names.PAST)]

    def logits(self, token_ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """Logits f32[T, V] over a sequence i64[T].

        Raises:
            ExportError: It does not run, or gives logits that are not numbers.
        """
        (logits,) = self.run([token_ids], [names.LOGITS])
        found: NDArray[np.float32] = logits[0]
        return found

    def run(
        self, sequences: Sequence[NDArray[np.int64]], outputs: Sequence[str]
    ) -> list[NDArray[np.float32]]:
        """Run new sequences i64[T] together; give the outputs of all their tokens.

        Raises:
            ExportError: It does not run, or gives what is not a number.
        """
        known = packed_inputs(sequences)
        feed = {name: array for name, array in known.items() if name in self._inputs}
        capacity = int(known[names.TOTAL_LENGTH])
        for name, value in self._inputs.items():
            if name.startswith(names.PAST):
                _, heads, _, size = value.shape
                feed[name] = np.zeros((len(sequences), heads, capacity, size), np.float32)
        try:
            found: list[NDArray[np.float32]] = self._session.run(list(outputs), feed)
        except Exception as error:
            raise _does_not_run(error) from error
        if not all(np.isfinite(array).all() for array in found):
            raise ExportError(
                "the exported ONNX graph gives logits that are not numbers",
                "The model's weights may be damaged, or may need --weights f32",
            )
        return found


def packed_inputs(sequences: Sequence[NDArray[np.int64]]) -> dict[str, NDArray[Any]]:
    """What a packed graph reads for sequences that begin, caches left out; all logits wanted."""
    counts = np.array([len(ids) for ids in sequences])
    begins = np.cumsum(counts) - counts
    rows = np.repeat(np.arange(len(counts)), counts)
    columns = np.arange(counts.sum()) - begins[rows]
    query_map = np.zeros((len(counts), counts.max(), 2), np.int64)
    query_map[rows, columns, 1] = np.arange(counts.sum())
    lengths = counts.astype(np.int32)
    return {
        names.INPUT_IDS: np.concatenate(sequences)[None].astype(np.int64),
        names.LOGITS_ROWS: np.arange(counts.sum(), dtype=np.int64),
        names.QUERY_MAP: query_map,
        names.TOKEN_MAP: np.stack([rows, columns], -1)[None].astype(np.int64),
        names.ROW_POSITIONS: np.tile(np.arange(counts.max(), dtype=np.int64), (len(counts), 1)),
        names.POSITIONS: columns[None].astype(np.int64),
        names.SEQLENS_K: lengths - 1,
        names.QUERY_SEQLENS: lengths,
        names.TOTAL_LENGTH: np.array(counts.max(), np.int32),
    }


def _does_not_run(error: Exception) -> ExportError:
    return ExportError(
        f"the exported ONNX graph does not run: {str(error).splitlines()[0]}",
        "Export it for OpenVINO: --runtime openvino",
    )
