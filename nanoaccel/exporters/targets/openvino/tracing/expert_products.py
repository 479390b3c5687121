"""Products with matrices of all experts of a layer, whose rows are outputs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import openvino as ov
from openvino import opset13 as ops
from openvino.frontend.pytorch import ConversionExtension

from nanoaccel.exporters.quantize.compression.mapped import MappedTensors

_OCTETS = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}
_OWNER = "self."  # stands before the names of a traced model's weights
_PARTS = {"gate_up_proj": ("gate_proj", "up_proj")}


class ExpertProducts:
    """Converts ``nanoaccel::expert_product``.

    Its inputs are x f32[E, T, in], weights [E, out, in], or [E, in, out] where they are turned, and
    which of how many parts of the outputs is wanted.

    Args:
        tensors: Where weights that are cut or turned lie, as long as the graph is needed.
    """

    def __init__(self, tensors: MappedTensors) -> None:
        self._tensors = tensors

    def rule(self) -> ConversionExtension:
        """The rule for OpenVINO's frontend."""
        return ConversionExtension("nanoaccel::expert_product", self._convert)

    def _convert(self, context: Any) -> list[ov.Output]:
        x, weight = context.get_input(0), context.get_input(1).get_node()
        turned, part, parts = (context.get_values_from_const_input(index) for index in (2, 3, 4))
        while weight.get_type_name() != "Constant":
            weight = weight.input_value(0).get_node()
        module, _, leaf = weight.get_friendly_name().removeprefix(_OWNER).rpartition(".")
        name = f"{module}.{_PARTS[leaf][part] if parts > 1 else leaf}"
        stored = self._rows(weight, bool(turned), part, parts)
        stored.set_friendly_name(_OWNER + name)
        if stored.get_element_type() != ov.Type.f32:
            stored = ops.convert(stored, "f32")
        product = ops.matmul(x, stored, False, True)
        product.set_friendly_name(f"__module.{name}/MatMul")
        return [product.output(0)]

    def _rows(self, weight: ov.Node, turned: bool, part: int, parts: int) -> ov.Node:
        """A part of the rows of each expert, [E, out / parts, in]."""
        if not turned and parts == 1:
            return weight
        kind = weight.get_element_type()
        octets = _OCTETS[kind.size]
        experts, *sizes = weight.get_output_shape(0)
        stored = weight.data.view(octets).reshape(experts, *sizes)
        rows, columns = reversed(sizes) if turned else sizes
        count = rows // parts
        shape = [experts, count, columns]
        tensor = self._tensors.allocate(kind, shape)
        made = tensor.data.view(octets).reshape(math.prod(shape[:2]), columns)
        for expert in range(experts):
            matrix = stored[expert].T if turned else stored[expert]
            begin = expert * count
            made[begin : begin + count] = matrix[part * count : (part + 1) * count]
        return ops.constant(tensor)
