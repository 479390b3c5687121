"""The nodes of a mixture of experts, and QMoE and MoE in their place.

Experts and FloatExperts (domain nanoaccel)
  x         f32 [..., hidden]
  logits    f32 [tokens, experts], of the router; or shares
  weights   initializer of gate_up, whose rows are gate 0, up 0, gate 1, up 1, ...: codes u8
            [experts, 2 * inner, hidden * bits / 8]; of FloatExperts also f32, f16 or bf16
            [experts, 2 * inner, hidden]; without gates there are inner rows in place of 2 * inner
  scales    of codes alone: f16 or f32 [experts, 2 * inner, groups], initializer; or u8, exponents
            of MXFP4, whose codes of 4 bits stand for E2M1 numbers, in groups of 32
  zeros     u8 [experts, 2 * inner, (groups + 1) / 2], with 8 bits as scales, initializer; or none
  bias      f32 [experts, 2 * inner], initializer; or none
  weights, scales, zeros, bias: the same of down, whose rows are [experts, hidden, inner]
  factors   f32 [experts], initializer: what exponents of gate_up are multiplied with; or none
  factors   the same of down
attributes experts, hidden, inner, top_k, bits and block_size (0 without codes), alpha, beta, limit,
activation (a number of ``Activation``: SiLU, with the factor alpha, GELU, ReLU or its square),
shares

Each token goes to the ``top_k`` experts of its largest logits, whose softmax weighs what they give;
with ``shares`` to those whose shares are farthest from 0, which weigh it:
down(activated(g) * (u + beta)), with g at most ``limit`` and u within it; without gates
down(activated(g)). Experts round the inputs
of both products to int8, FloatExperts do not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum

from nanoaccel.bundle.packed_graph import EXPERTS, FLOAT_EXPERTS, SHARES_TOTAL
from nanoaccel.runtime.backends.onnxruntime.graph.model import (
    Model,
    Node,
    Tensor,
    float_attribute,
    integer_attribute,
)
from nanoaccel.runtime.backends.onnxruntime.operators.linear import (
    BFLOAT16,
    DOMAIN,
    FLOAT,
    FLOAT8E8M0,
    FLOAT16,
    INT8_ACTIVATIONS,
    UINT8,
    Activation,
)
from nanoaccel.runtime.backends.onnxruntime.operators.wiring import Wiring, disconnect

_CODES, _FLOATS = "QMoE", "MoE"
_GROUPS = (16, 32, 64, 128, 256)
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
_MATRICES = (2, 4)  # inputs of MoE; a bias stands behind each
_REQUIRED = ("normalize_routing_weights", "swiglu_fusion")  # attributes that must be 1
_ZERO = ("use_sparse_mixer", "swiglu_limit_after_activation")


@dataclass(frozen=True, slots=True)
class _Sizes:
    """Sizes of a layer; floats have neither bits nor groups."""

    experts: int
    hidden: int
    inner: int
    bits: int = 0
    group: int = 0
    mx: bool = False


def experts_of(node: Node, model: Model, wiring: Wiring) -> Node | None:
    """Experts that compute what a QMoE or a MoE does; None for others, and where they cannot."""
    if node.kind == _FLOATS:
        return _of_floats(node, model, wiring)
    return _of_codes(node, model) if node.kind == _CODES else None


def fuse_shares(model: Model, nodes: list[Node]) -> None:
    """Logits that are logarithms of shares, and what is multiplied with their sum: the shares."""
    wiring = Wiring(model, nodes)
    for node in nodes:
        if node.domain != DOMAIN or node.kind not in (EXPERTS, FLOAT_EXPERTS):
            continue
        logits = wiring.maker(node.input(1))
        raised = None if logits is None else wiring.maker(logits.input(0))
        scaled = wiring.only_user(node.outputs[0])
        if logits is None or raised is None or scaled is None or scaled.kind != "Mul":
            continue
        (total,) = {*scaled.inputs} - {node.outputs[0]} or {""}
        summed = wiring.maker(total)
        shares = raised.input(0)
        if (logits.kind, raised.kind) != ("Log", "Max") or summed is None:
            continue
        if summed.name.endswith(SHARES_TOTAL) and summed.input(0) == shares:
            node.inputs[1], node.outputs = shares, list(scaled.outputs)
            node.attributes["shares"] = integer_attribute("shares", 1)
            disconnect(scaled)


def _of_codes(node: Node, model: Model) -> Node | None:
    if not _is_known(node):
        return None
    sizes = _sizes(node, model)
    if sizes is None:
        return None
    rounds = node.integer("accuracy_level", 0) == INT8_ACTIVATIONS
    if not rounds and (sizes.mx or sizes.bits != 4):  # stock ones round where codes are of 8 bits
        return None
    rows = 2 * sizes.inner
    gate_up = _stored(node, _Stock.GATE_UP, _Stock.GATE_UP_ZEROS, rows, sizes.hidden, sizes, model)
    down = _stored(node, _Stock.DOWN, _Stock.DOWN_ZEROS, sizes.hidden, sizes.inner, sizes, model)
    if gate_up is None or down is None:
        return None
    if sizes.mx:  # custom operators take no tensors of that type
        for place in (_Stock.GATE_UP, _Stock.DOWN):
            model.retype(node.input(place + 1), UINT8)
    inputs = [*gate_up, *down, *map(node.input, _FACTORS)]
    return _made(EXPERTS if rounds else FLOAT_EXPERTS, node, inputs, sizes)


def _of_floats(node: Node, model: Model, wiring: Wiring) -> Node | None:
    """FloatExperts over what a MoE reads: floats, or codes behind a DequantizeLinear."""
    if not _is_swiglu(node) or any(map(node.input, range(6, len(node.inputs)))):
        return None
    pair = [_matrix(node.input(place), model, wiring) for place in _MATRICES]
    gate_up, down = pair
    if gate_up is None or down is None:
        return None
    experts, rows, hidden = gate_up.shape
    inner = rows // 2
    if down.shape != (experts, hidden, inner) or rows % 2:
        return None
    if (gate_up.bits, gate_up.group) != (down.bits, down.group):
        return None
    inputs = []
    for place, matrix in zip(_MATRICES, (gate_up, down), strict=True):
        bias = node.input(place + 1)
        if bias and model.initializers.get(bias) != Tensor(FLOAT, matrix.shape[:2]):
            return None
        inputs += [*matrix.names, bias]
    sizes = _Sizes(experts, hidden, inner, gate_up.bits, gate_up.group)
    return _made(FLOAT_EXPERTS, node, inputs, sizes)


@dataclass(frozen=True, slots=True)
class _Matrix:
    """The matrices of a MoE: names of their numbers, scales and zero points."""

    names: tuple[str, str, str]
    shape: tuple[int, ...]
    bits: int = 0
    group: int = 0


def _matrix(name: str, model: Model, wiring: Wiring) -> _Matrix | None:
    maker = wiring.maker(name)
    if maker is not None and maker.kind == "DequantizeLinear":
        return _behind_codes(maker, model, wiring)
    name = _narrow(name, wiring)
    tensor = model.initializers.get(name)
    if tensor is None or len(tensor.shape) != 3 or tensor.size == 0:
        return None
    known = tensor.type in ((FLOAT,) if maker is None else (FLOAT, FLOAT16, BFLOAT16))
    return _Matrix((name, "", ""), tensor.shape) if known else None


def _behind_codes(node: Node, model: Model, wiring: Wiring) -> _Matrix | None:
    """Codes of 8 bits; zero points that are filled in are the middle of their range."""
    group = node.integer("block_size", 0) or 0
    codes = model.initializers.get(node.input(0))
    if codes is None or codes.type != UINT8 or len(codes.shape) != 3 or node.integer("axis") != 2:
        return None
    if group not in _GROUPS or codes.shape[2] % group:
        return None
    scales, zeros = _narrow(node.input(1), wiring), node.input(2)
    filled = wiring.maker(zeros)
    if filled is not None and filled.kind == "ConstantOfShape":
        zeros = ""
    groups = (*codes.shape[:2], codes.shape[2] // group)
    of_scales = model.initializers.get(scales)
    if of_scales not in (Tensor(FLOAT, groups), Tensor(FLOAT16, groups)):
        return None
    if zeros and model.initializers.get(zeros) != Tensor(UINT8, groups):
        return None
    return _Matrix((node.input(0), scales, zeros), codes.shape, 8, group)


def _narrow(name: str, wiring: Wiring) -> str:
    """What a value is widened from to f32; itself where it is not."""
    maker = wiring.maker(name)
    return maker.input(0) if maker is not None and maker.kind == "Cast" else name


def _made(kind: str, node: Node, weights: list[str], sizes: _Sizes) -> Node:
    """Experts in the place of a stock node."""
    integers = {
        "experts": sizes.experts,
        "hidden": sizes.hidden,
        "inner": sizes.inner,
        "top_k": node.integer("k", 1) or 1,
        "bits": sizes.bits,
        "block_size": sizes.group,
        "activation": Activation.SILU,
        "shares": 0,
    }
    reals = {
        "alpha": node.real("activation_alpha", 1.0),
        "beta": node.real("activation_beta", 0.0),
        "limit": node.real("swiglu_limit", math.inf),
    }
    attributes = {name: integer_attribute(name, value) for name, value in integers.items()}
    attributes |= {name: float_attribute(name, value) for name, value in reals.items()}
    inputs = [node.input(_Stock.X), node.input(_Stock.LOGITS), *weights]
    return Node(kind, inputs, list(node.outputs), node.name, DOMAIN, attributes)


def _is_known(node: Node) -> bool:
    """Whether a QMoE asks for nothing that the operator does not know."""
    mx = node.text("quant_type", "int") == _MX
    if any(map(node.input, _OTHER_INPUTS if mx else (*_OTHER_INPUTS, *_FACTORS))):
        return False
    if not mx and node.text("quant_type", "int") != "int":
        return False
    bits = node.integer("expert_weight_bits", 4)
    own = {node.integer(f"fc{i}_expert_weight_bits", bits) for i in (1, 2, 3)}
    if own != {bits} or node.integer("weights_prepacked", -1) == 1:
        return False
    return _is_swiglu(node)


def _is_swiglu(node: Node) -> bool:
    """Whether experts are gated as the operator knows, and shares are a softmax of the chosen."""
    if node.text("activation_type", "relu") != "swiglu" or any(map(node.integer, _ZERO)):
        return False
    return all(node.integer(name) == 1 for name in _REQUIRED)


def _sizes(node: Node, model: Model) -> _Sizes | None:
    gate_up = model.initializers.get(node.input(_Stock.GATE_UP))
    mx = node.text("quant_type", "int") == _MX
    bits, group = node.integer("expert_weight_bits", 4), node.integer("block_size")
    if mx and (bits != 4 or group not in (None, 0, _MX_GROUP)):
        return None
    group = _MX_GROUP if mx else group
    if gate_up is None or len(gate_up.shape) != 3 or bits not in (4, 8):
        return None
    if group not in _GROUPS:
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
