"""Tiny models on their way to an ONNX graph: traced, and compressed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from nanoaccel.exporters.quantize.compression import Calibration
from nanoaccel.exporters.quantize.recipe import Recipe
from nanoaccel.exporters.quiet import quiet
from nanoaccel.exporters.source.context import context_length
from nanoaccel.exporters.source.prequantized import PackedWeight
from nanoaccel.exporters.targets.onnx.build import build_graph
from nanoaccel.exporters.targets.openvino import build as openvino
from nanoaccel.exporters.targets.openvino.trace import trace


@dataclass(frozen=True, slots=True)
class OnnxModel:
    """A torch model, and what its graphs are made from."""

    model: Any
    folder: Path
    packed: Mapping[str, PackedWeight]

    @classmethod
    def make(
        cls,
        folder: Path,
        model: Any,
        packed: Mapping[str, PackedWeight] = MappingProxyType({}),
    ) -> OnnxModel:
        """Trace it."""
        with quiet():
            trace(model, folder / "traced")
        return cls(model, folder, packed)

    def export(
        self, folder: Path, recipe: Recipe, calibration: Calibration | None = None
    ) -> tuple[Path, Path]:
        """Files of the ONNX graph, and of the OpenVINO graph whose weights it has."""
        with quiet():
            compressed = openvino.build_graph(
                self.folder / "traced",
                folder / "openvino",
                recipe,
                calibration=calibration,
                packed=self.packed,
            ).path
            context = context_length(self.model.config)
            graph = build_graph(compressed, folder / "onnx", context)
        return graph, compressed
