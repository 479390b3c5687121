"""Compares an ONNX graph with the OpenVINO graph whose weights it has."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nanoaccel.bundle.packed_graph import LOGITS
from nanoaccel.errors import ExportError
from nanoaccel.exporters.targets.onnx.runner import OnnxRunner
from nanoaccel.exporters.targets.openvino.runner import GraphRunner

# How far logits may be off, as a share of the largest: other rounding, no other weights.
_TOLERANCE = 0.01


def check_same(onnx: OnnxRunner, openvino: GraphRunner, tokens: NDArray[np.int64]) -> None:
    """Refuse an ONNX graph whose logits are not those of the OpenVINO graph.

    Args:
        onnx: Runs the one, over sequences of two lengths at once.
        openvino: Runs the other.
        tokens: To compare on.

    Raises:
        ExportError: They differ by more than rounding.
    """
    texts = [tokens[: len(tokens) // 2], tokens]
    expected = np.concatenate([openvino.logits(text) for text in texts])
    (found,) = onnx.run(texts, [LOGITS])
    difference = np.abs(found[0] - expected).max()
    share = float(difference / np.abs(expected).max())
    if share > _TOLERANCE:
        raise ExportError(
            f"the ONNX graph gives other logits than the OpenVINO graph, by {share:.1%} of the "
            "largest",
            "Report it with the model's name, and export it for OpenVINO: --runtime openvino",
        )
