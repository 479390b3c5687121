"""The node of a mixture of experts, and QMoE in its place.

Experts (domain nanoaccel)
  x         f32 [..., hidden]
  logits    f32 [tokens, experts], of the router
  codes     u8 [experts, 2 * inner, hidden * bits / 8], initializer: gate_up, whose rows are gate 0,
            up 0, gate 1, up 1, ...
  scales    f16 or f32 [experts, 2 * inner, groups], initializer; or u8, exponents of MXFP4,
            whose codes of 4 bits stand for E2M1 numbers, in groups of 32
  zeros     u8 [experts, 2 * inner, (groups + 1) / 2], with 8 bits as scales, initializer; or none
  bias      f32 [experts, 2 * inner], initializer; or none
  codes, scales, zeros, bias: the same of down, [experts, hidden, inner * bits / 8]
  factors   f32 [experts], initializer: what exponents of gate_up are multiplied with; or none
  factors   the same of down
attributes experts, hidden, inner, top_k, bits, block_size, alpha, beta, limit

Each token goes to the ``top_k`` experts of its largest logits, whose softmax weighs what they give:
down(g * sigmoid(alpha * g) * (u + beta)), with g at most ``limit`` and u within it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum

from nanoaccel.runtime.backends.onnxruntime.graph.model import (
    Model,
    Node,
    Tensor,
    float_attribute,
    integer_attribute,
)
from nanoaccel.runtime.backends.onnxruntime.operators.linear import (
    DOMAIN,
    FLOAT,
    FLOAT8E8M0,
    FLOAT16,
    INT8_ACTIVATIONS,
    UINT8,
)

_KIND, _STOCK = "Experts", "QMoE"
_MOST_GROUP, _LEAST_GROUP = 256, 16
_MX, _MX_GROUP = "fp4", 32  # QMoE's word for MXFP4


class _Stock(IntEnum):
    """Inputs of QMoE."""

    X = 0
    LOGITS = 1
    GATE_UP = 2
    DOWN = 5
    GATE_UP_ZEROS = 11
    DOWN_ZEROS = 12
    GATE_UP_FACTORS = 15
    DOWN_FACTORS = 16


_OTHER_INPUTS = (8, 9, 10, 13, 14, 17, 18, 19, 20)  # a third linear, other weights of experts
_FACTORS = (_Stock.GATE_UP_FACTORS, _Stock.DOWN_FACTORS)
# Attributes that must be as these, or as QMoE has them by default.
_REQUIRED = {
    "accuracy_level": INT8_ACTIVATIONS,
    "normalize_routing_weights": 1,
    "swiglu_fusion": 1,
}
_ZERO = ("use_sparse_mixer", "swiglu_limit_after_activation")


@dataclass(frozen=True, slots=True)
class _Sizes:
    """Sizes of a layer."""

    experts: int
    hidden: int
    inner: int
    bits: int
    group: int
    mx: bool


def experts_of(node: Node, model: Model) -> Node | None:
    """Experts that compute what a QMoE does; None for other nodes, and where they cannot."""
    if node.kind != _STOCK or not _is_known(node):
        return None
    sizes = _sizes(node, model)
    if sizes is None:
        return None
    rows = 2 * sizes.inner
    gate_up = _stored(node, _Stock.GATE_UP, _Stock.GATE_UP_ZEROS, rows, sizes.hidden, sizes, model)
    down = _stored(node, _Stock.DOWN, _Stock.DOWN_ZEROS, sizes.hidden, sizes.inner, sizes, model)
    if gate_up is None or down is None:
        return None
    integers = {
        "experts": sizes.experts,
        "hidden": sizes.hidden,
        "inner": sizes.inner,
        "top_k": node.integer("k", 1) or 1,
        "bits": sizes.bits,
        "block_size": sizes.group,
    }
    reals = {
        "alpha": node.real("activation_alpha", 1.0),
        "beta": node.real("activation_beta", 0.0),
        "limit": node.real("swiglu_limit", math.inf),
    }
    attributes = {name: integer_attribute(name, value) for name, value in integers.items()}
    attributes |= {name: float_attribute(name, value) for name, value in reals.items()}
    inputs = [node.input(_Stock.X), node.input(_Stock.LOGITS), *gate_up, *down]
    inputs += map(node.input, _FACTORS)
    if sizes.mx:  # custom operators take no tensors of that type
        for place in (_Stock.GATE_UP, _Stock.DOWN):
            model.retype(node.input(place + 1), UINT8)
    return Node(_KIND, inputs, list(node.outputs), node.name, DOMAIN, attributes)


def _is_known(node: Node) -> bool:
    """Whether a QMoE asks for nothing that the operator does not know."""
    mx = node.text("quant_type", "int") == _MX
    if any(map(node.input, _OTHER_INPUTS if mx else (*_OTHER_INPUTS, *_FACTORS))):
        return False
    if not mx and node.text("quant_type", "int") != "int":
        return False
    if node.text("activation_type", "relu") != "swiglu" or any(map(node.integer, _ZERO)):
        return False
    bits = node.integer("expert_weight_bits", 4)
    own = {node.integer(f"fc{i}_expert_weight_bits", bits) for i in (1, 2, 3)}
    if own != {bits} or node.integer("weights_prepacked", -1) == 1:
        return False
    return all(node.integer(name) == value for name, value in _REQUIRED.items())


def _sizes(node: Node, model: Model) -> _Sizes | None:
    gate_up = model.initializers.get(node.input(_Stock.GATE_UP))
    mx = node.text("quant_type", "int") == _MX
    bits, group = node.integer("expert_weight_bits", 4), node.integer("block_size")
    if mx and (bits != 4 or group not in (None, 0, _MX_GROUP)):
        return None
    group = _MX_GROUP if mx else group
    if gate_up is None or len(gate_up.shape) != 3 or bits not in (4, 8):
        return None
    if group is None or group & (group - 1) or not _LEAST_GROUP <= group <= _MOST_GROUP:
        return None
    experts, rows, octets = gate_up.shape
    factors = [node.input(place) for place in _FACTORS]
    if any(name and model.initializers.get(name) != Tensor(FLOAT, (experts,)) for name in factors):
        return None
    return _Sizes(experts, octets * 8 // bits, rows // 2, bits, group, mx)


def _stored(
    node: Node, first: int, zeros: int, rows: int, columns: int, sizes: _Sizes, model: Model
) -> list[str] | None:
    """Codes, scales, zero points and bias of a linear; None where they are something else."""
    if columns % sizes.group:
        return None
    groups, octets = columns // sizes.group, sizes.bits * columns // 8
    packed = (groups + 1) // 2 if sizes.bits == 4 else groups
    names = [node.input(index) for index in (first, first + 1, zeros, first + 2)]
    scales = (FLOAT8E8M0,) if sizes.mx else (FLOAT, FLOAT16)
    types: tuple[tuple[int, ...], ...] = ((UINT8,), scales, (UINT8,), (FLOAT,))
    shapes = (
        (sizes.experts, rows, octets),
        (sizes.experts, rows, groups),
        (sizes.experts, rows, packed),
        (sizes.experts, rows),
    )
    for place, (name, kinds, shape) in enumerate(zip(names, types, shapes, strict=True)):
        left_out = place >= 2 and not name
        wanted = [Tensor(kind, shape) for kind in kinds]
        if not left_out and model.initializers.get(name) not in wanted:
            return None
    return names
