"""Compares an ONNX graph with the OpenVINO graph whose weights it has."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nanoaccel.bundle.packed_graph import LOGITS
from nanoaccel.errors import ExportError
from nanoaccel.exporters.targets.onnx.runner import OnnxRunner

# How far logits may be off, as a share of the largest: other rounding, no other weights.
_TOLERANCE = 0.01


def check_same(
    onnx: OnnxRunner,
    texts: Sequence[NDArray[np.int64]],
    expected: Sequence[NDArray[np.float32]],
) -> None:
    """Refuse an ONNX graph whose logits are not those of the OpenVINO graph.

    Args:
        onnx: Runs the one, over all texts at once.
        texts: To compare on, i64[T] each, of several lengths.
        expected: Logits f32[T, V] of the other, of each text.

    Raises:
        ExportError: They differ by more than rounding.
    """
    (found,) = onnx.run(texts, [LOGITS])
    wanted = np.concatenate(expected)
    share = float(np.abs(found[0] - wanted).max() / np.abs(wanted).max())
    if share > _TOLERANCE:
        raise ExportError(
            f"the ONNX graph gives other logits than the OpenVINO graph, by {share:.1%} of the "
            "largest",
            "Report it with the model's name, and export it for OpenVINO: --runtime openvino",
        )
