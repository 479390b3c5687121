"""Runs a packed ONNX graph over text, in f32."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanoaccel.bundle import exact_graph
from nanoaccel.bundle import packed_graph as contract
from nanoaccel.bundle.long_factors import METADATA, LongFactors, position_shift
from nanoaccel.errors import ExportError
from nanoaccel.exporters.progress import silence
from nanoaccel.exporters.targets.onnx.parts import divide_products
from nanoaccel.registry import OPERATORS

_WEIGHTS_FOLDER = "session.model_external_initializers_file_folder_path"
_FATAL_ONLY = 4  # errors come as exceptions, and would be told twice, in colors


class OnnxRunner:
    """Runs a graph without rounding activations, so that only weights cause differences.

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
        operators = OPERATORS.resolve("native")()
        if operators.library is not None:  # for recurrent states, which no other operators compute
            options.register_custom_ops_library(str(operators.library))
        exact = exact_graph(graph)
        options.add_session_config_entry(_WEIGHTS_FOLDER, str(graph.parent))
        try:
            self._session = ort.InferenceSession(
                _in_parts(exact if exact.is_file() else graph),
                options,
                providers=["CPUExecutionProvider"],
            )
        except Exception as error:  # each of its errors is an Exception of its own
            raise _does_not_run(error) from error
        self._inputs = {value.name: value for value in self._session.get_inputs()}
        about = self._session.get_modelmeta().custom_metadata_map.get(METADATA)
        self._factors = None if about is None else LongFactors.parse(about)

    @property
    def caches(self) -> list[str]:
        """Names of the inputs that are caches."""
        return [name for name in self._inputs if contract.cache_of(name) is not None]

    def logits(self, token_ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """Logits f32[T, V] over a sequence i64[T].

        Raises:
            ExportError: It does not run, or gives logits that are not numbers.
        """
        (logits,) = self.run([token_ids], [contract.LOGITS])
        found: NDArray[np.float32] = logits[0]
        return found

    def run_over(
        self,
        windows: Sequence[NDArray[np.int64]],
        take: Callable[[int, NDArray[np.float32]], None],
        tell: Callable[[float], object] = silence,
    ) -> None:
        """Run over texts.

        Args:
            windows: i64[T] each.
            take: Called with the number of each window and its logits f32[T, V], in order.
            tell: Called with the share that is done.

        Raises:
            ExportError: It does not run, or gives logits that are not numbers.
        """
        for index, window in enumerate(windows):
            take(index, self.logits(window))
            tell((index + 1) / len(windows))

    def run(
        self, sequences: Sequence[NDArray[np.int64]], outputs: Sequence[str]
    ) -> list[NDArray[np.float32]]:
        """Run new sequences i64[T] together; give the outputs of all their tokens.

        Raises:
            ExportError: It does not run, or gives what is not a number.
        """
        known = packed_inputs(sequences, self._factors)
        feed = {name: array for name, array in known.items() if name in self._inputs}
        capacity = int(known[contract.TOTAL_LENGTH])
        for name in self.caches:
            _, heads, _, size = self._inputs[name].shape
            feed[name] = np.zeros((len(sequences), heads, capacity, size), np.float32)
        if contract.RECURRENT_STATES in self._inputs:
            _, numbers = self._inputs[contract.RECURRENT_STATES].shape
            feed |= _new_states([len(ids) for ids in sequences], numbers)
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


def _in_parts(graph: Path) -> bytes:
    """A graph whose largest products are in parts, to be run beside its file."""
    import onnx_ir as ir

    model = ir.load(graph)
    divide_products(model.graph)
    made: bytes = ir.to_proto(model).SerializeToString()
    return made


def packed_inputs(
    sequences: Sequence[NDArray[np.int64]], factors: LongFactors | None = None
) -> dict[str, NDArray[Any]]:
    """Inputs of a packed graph for new sequences, without caches; all logits are asked for.

    Args:
        sequences: i64[T] each.
        factors: How the graph is told which of them are long.
    """
    counts = np.array([len(ids) for ids in sequences])
    batch = contract.PaddedBatch(np.arange(len(counts)), counts, len(counts))
    positions = np.arange(counts.max(), dtype=np.int64)
    shifts = np.array([position_shift(factors, len(ids)) for ids in sequences])
    return {
        contract.INPUT_IDS: np.concatenate(sequences)[None].astype(np.int64),
        contract.LOGITS_ROWS: np.arange(counts.sum(), dtype=np.int64),
        contract.QUERY_MAP: batch.query_map,
        contract.TOKEN_MAP: batch.token_map,
        contract.ROW_POSITIONS: shifts[:, None] + positions,
        contract.POSITIONS: (batch.column_of_token + np.repeat(shifts, counts))[None],
        contract.SEQLENS_K: batch.query_seqlens - 1,
        contract.QUERY_SEQLENS: batch.query_seqlens,
        contract.TOTAL_LENGTH: np.array(counts.max(), np.int32),
    }


def _new_states(counts: Sequence[int], numbers: int) -> dict[str, NDArray[Any]]:
    """Inputs for recurrent states of so many numbers: each text leaves one, at its end."""
    sequences = len(counts)
    read, written = np.zeros(sequences, np.int32), np.arange(1, sequences + 1, dtype=np.int32)
    return {
        contract.RECURRENT_STATES: np.zeros((sequences + 1, numbers), np.float32),
        contract.SEQ_BEGINS: np.cumsum([0, *counts]).astype(np.int32),
        contract.STATE_SLOTS: np.stack([read, written], axis=1).ravel(),
        contract.STATE_BEGINS: np.arange(0, 2 * sequences + 1, 2, dtype=np.int32),
        contract.STATE_INTERVALS: np.array(counts, np.int32),
        contract.STATE_OFFSETS: np.zeros(sequences, np.int32),
    }


def _does_not_run(error: Exception) -> ExportError:
    return ExportError(
        f"the exported ONNX graph does not run: {str(error).splitlines()[0]}",
        "Export it for OpenVINO: --runtime openvino",
    )
