"""Attention over blocks, and GroupQueryAttention over slots in its place.

PagedAttention (domain nanoaccel), T tokens of B sequences one after the other, of which S are
cached or new
  queries       f32 [..., T, heads * size]; without keys and values theirs stand behind them
  keys, values  f32 [..., T, kv_heads * size]; or none
  cache         u8 [blocks, bytes], which is written to
  positions     i64 [..., T], of each token in its text; or none
  seq_begins    i32 [B + 1]; likewise past_lens [B], block_ids [N] and block_begins [B + 1]: as in
                ``StepPlan``
  cosines       f32 [positions, half of what is rotated]; likewise sines; or none
  sinks         f32 [heads], scores without a value; or none
  query_norm    f32 [size], weights of an RMSNorm of each head before it is rotated; likewise
                key_norm; or none
  slopes        f32, [heads] numbers of any shape: a score falls by so much for each token between
                query and key (ALiBi); or none
gives
  attended      f32 [..., T, heads * size]
  scores        f64 [S], attention that tokens draw from all heads; or none
attributes num_heads, kv_num_heads, head_size, block_size, cache_type (as ONNX numbers types),
cache_offset (bytes of other layers in a block), scale, softcap, window (0 is all), interleaved,
epsilon (of the norms), scores (whether they are given)
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from itertools import groupby

from nanoaccel.bundle import packed_graph as contract
from nanoaccel.runtime.backends.onnxruntime.graph.model import (
    Model,
    Node,
    Tensor,
    float_attribute,
    integer_attribute,
)
from nanoaccel.runtime.backends.onnxruntime.graph.values import (
    DOUBLE,
    FLOAT,
    INT32,
    INT64,
    UINT8,
    shape_of,
    value_info,
)
from nanoaccel.runtime.backends.onnxruntime.operators.linear import DOMAIN
from nanoaccel.runtime.backends.onnxruntime.operators.norms import NORM_EPSILON, norm_of_heads
from nanoaccel.runtime.backends.onnxruntime.operators.wiring import Wiring

BLOCK_SIZE = 32  # tokens
CACHE = "cache"
SEQ_BEGINS, PAST_LENS = contract.SEQ_BEGINS, "past_lens"
BLOCK_IDS, BLOCK_BEGINS = "block_ids", "block_begins"

_KIND, _STOCK = "PagedAttention", "GroupQueryAttention"
_SLOT_INPUTS = (
    *(contract.QUERY_MAP, contract.TOKEN_MAP, contract.ROW_POSITIONS),
    *(contract.SEQLENS_K, contract.QUERY_SEQLENS, contract.TOTAL_LENGTH),
)
BLOCK_INPUTS = {
    contract.POSITIONS: value_info(contract.POSITIONS, INT64, (1, "T")),
    SEQ_BEGINS: value_info(SEQ_BEGINS, INT32, ("B+1",)),
    PAST_LENS: value_info(PAST_LENS, INT32, ("B",)),
    BLOCK_IDS: value_info(BLOCK_IDS, INT32, ("N",)),
    BLOCK_BEGINS: value_info(BLOCK_BEGINS, INT32, ("B+1",)),
}
# What the operator can do; the library checks it again.
_SIZES = range(16, 257, 16)
_EVERYTHING = -1  # a window
_GROUP = 32  # numbers of a head that share a scale, of UINT4
_SCALE_BYTES = 4  # one of INT8 in f32, two of UINT4 in f16


class CacheType(IntEnum):
    """Types of cached numbers, as ONNX numbers them."""

    F32 = 1
    INT8 = 3
    F16 = 10
    BF16 = 16
    UINT4 = 21

    def token_bytes(self, size: int) -> int:
        """Bytes of a head of a token: key, value and the scales of both.

        Args:
            size: Numbers of a head.
        """
        bits = {CacheType.F32: 32, CacheType.INT8: 8, CacheType.UINT4: 4}.get(self, 16)
        scales = {CacheType.INT8: 1, CacheType.UINT4: -(-size // _GROUP)}.get(self, 0)
        return 2 * (size * bits // 8 + scales * _SCALE_BYTES)


@dataclass(frozen=True, slots=True)
class BlockLayout:
    """What a block of the cache holds.

    Args:
        type: Type of the numbers.
        layers: Heads and size of a head of each layer that has keys and values of its own.
        nodes: Attention nodes; some may read the keys and values of a layer before them.
    """

    type: CacheType
    layers: tuple[tuple[int, int], ...]
    nodes: int

    def layer_bytes(self, layer: int) -> int:
        """Bytes of a layer."""
        heads, size = self.layers[layer]
        return heads * BLOCK_SIZE * self.type.token_bytes(size)

    @property
    def block_bytes(self) -> int:
        """Bytes of all layers; one without any, so that blocks count tokens all the same."""
        return max(1, sum(map(self.layer_bytes, range(len(self.layers)))))

    def described(self) -> str:
        """The layers in words, like "30 x [3,64]"."""
        groups = [(layer, len(list(same))) for layer, same in groupby(self.layers)]
        return ", ".join(f"{count} x [{heads},{size}]" for (heads, size), count in groups)


class _Stock(IntEnum):
    """Inputs of GroupQueryAttention."""

    QUERIES = 0
    KEYS = 1
    VALUES = 2
    PAST_KEYS = 3
    COSINES = 7
    SINES = 8
    BIAS = 10
    SINKS = 11
    KEY_SCALES = 12
    VALUE_SCALES = 13


_KNOWN = frozenset(
    {
        *("num_heads", "kv_num_heads", "scale", "local_window_size", "softcap"),
        *("do_rotary", "rotary_interleaved"),
    }
)


def scores_name(layer: int) -> str:
    """The output that tells what attention tokens draw in a layer."""
    return f"scores.{layer}"


def page_attention(
    model: Model, nodes: list[Node], cache_type: CacheType, *, scores: bool = False
) -> BlockLayout | None:
    """Replace attention over slots, and the inputs and outputs that go with it.

    Args:
        model: A packed graph, whose inputs and outputs are edited.
        nodes: Its nodes, which are edited.
        cache_type: Type of the cached numbers.
        scores: Whether each layer tells what attention tokens draw.

    Returns:
        What a block holds: nothing where layers have recurrent states alone. None, with nothing
        changed, where some attention cannot be replaced.
    """
    if contract.RECURRENT_STATES in model.inputs and not any(map(contract.cache_of, model.inputs)):
        layout = BlockLayout(cache_type, (), 0)
        _set_ends(model, layout)
        return layout
    needed = {name for name, spec in contract.INPUTS.items() if spec.required}
    written = {contract.present_of(name) for name in model.inputs if contract.cache_of(name)}
    if not (needed <= model.inputs.keys() and written <= model.outputs.keys()):
        return None
    wiring = Wiring(model, nodes)
    stock = [node for node in nodes if node.kind == _STOCK]
    paged = [_paged(node, model, wiring) for node in stock]
    if not stock or not all(paged):
        return None
    found = [one for one in paged if one is not None]
    # A layer that shares keys and values writes what stands there already.
    places = {name: place for place, name in enumerate(dict.fromkeys(one.past for one in found))}
    own = {one.past: (one.heads, one.size) for one in found}
    layout = BlockLayout(cache_type, tuple(own.values()), len(found))
    begins = [sum(map(layout.layer_bytes, range(place))) for place in range(len(own))]
    for layer, (node, one) in enumerate(zip(stock, found, strict=True)):
        one.back.inputs, one.back.outputs = [], []
        node.kind, node.domain = _KIND, DOMAIN
        told = [scores_name(layer)] if scores else []
        node.inputs, node.outputs = one.inputs, [*one.outputs, *told]
        node.attributes = {
            **one.attributes,
            "block_size": integer_attribute("block_size", BLOCK_SIZE),
            "cache_type": integer_attribute("cache_type", cache_type),
            "cache_offset": integer_attribute("cache_offset", begins[places[one.past]]),
            "scores": integer_attribute("scores", int(scores)),
        }
        model.outputs |= {name: value_info(name, DOUBLE, ("S",)) for name in told}
    _set_ends(model, layout)
    return layout


@dataclass(frozen=True, slots=True)
class _Paged:
    """What a node becomes.

    Args:
        heads: Heads of keys.
        size: Numbers of a head.
        past: Input of its cached keys.
        inputs: Its inputs.
        outputs: Its output.
        attributes: Those that do not depend on the cache.
        back: The node that packed what the stock one gave.
    """

    heads: int
    size: int
    past: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, bytes]
    back: Node


def _paged(node: Node, model: Model, wiring: Wiring) -> _Paged | None:
    """What a stock node becomes; None where the operator cannot do what it does."""
    heads, kv_heads = node.integer("num_heads") or 0, node.integer("kv_num_heads") or 0
    shape = shape_of(model.inputs.get(node.input(_Stock.PAST_KEYS), b""))
    size = shape[-1] if len(shape) == 4 else None
    if kv_heads < 1 or heads % kv_heads or size not in _SIZES or not _is_plain(node):
        return None
    assert size is not None
    gathered = [_packed(node.input(index), wiring) for index in range(3)]
    sources = [name for name in gathered if name is not None]
    back = wiring.only_user(node.outputs[0])
    if sources[0] == "" or len(sources) < 3 or back is None or not _is_gather(back):
        return None
    norms = [norm_of_heads(name, size, model, wiring) for name in sources[:2]]
    epsilon = NORM_EPSILON
    if norms[0] is not None and norms[1] is not None and norms[0].epsilon == norms[1].epsilon:
        epsilon = norms[0].epsilon
        sources[:2] = [norms[0].source, norms[1].source]
        weights = [norms[0].weight, norms[1].weight]
    else:
        weights = []
    slopes = _slopes(node.input(_Stock.BIAS), heads, model, wiring)
    if slopes is None:
        return None
    rotates = node.integer("do_rotary", 0) == 1
    tables = [node.input(i) if rotates else "" for i in (_Stock.COSINES, _Stock.SINES)]
    window = node.integer("local_window_size", _EVERYTHING) or 0
    integers = {
        "num_heads": heads,
        "kv_num_heads": kv_heads,
        "head_size": size,
        "window": max(window, 0),
        "interleaved": node.integer("rotary_interleaved", 0) or 0,
    }
    reals = {
        "scale": node.real("scale", 0.0) or size**-0.5,
        "softcap": node.real("softcap", 0.0),
        "epsilon": epsilon,
    }
    inputs = [
        *_unsplit(sources, wiring),
        *(CACHE, *BLOCK_INPUTS),
        *(*tables, node.input(_Stock.SINKS), *(weights or ("", "")), slopes),
    ]
    make: dict[str, bytes] = {name: integer_attribute(name, n) for name, n in integers.items()}
    make |= {name: float_attribute(name, n) for name, n in reals.items()}
    past = node.input(_Stock.PAST_KEYS)
    return _Paged(kv_heads, size, past, inputs, list(back.outputs), make, back)


def _slopes(bias: str, heads: int, model: Model, wiring: Wiring) -> str | None:
    """The slopes of ALiBi that a bias of scores is made of; None where it is another bias."""
    if not bias:
        return ""
    product = wiring.maker(bias)
    if product is None or product.kind != "Mul" or contract.ALIBI_DISTANCES not in product.inputs:
        return None
    (slopes,) = {*product.inputs} - {contract.ALIBI_DISTANCES} or {""}
    return slopes if model.initializers.get(slopes) == Tensor(FLOAT, (1, heads, 1, 1)) else None


def _unsplit(sources: list[str], wiring: Wiring) -> list[str]:
    """Queries, keys and values as the Split that they come from read them, where it is one."""
    split = wiring.maker(sources[0])
    if split is None or split.kind != "Split" or split.integer("axis", 0) != -1:
        return sources
    return [split.input(0), "", ""] if split.outputs == sources else sources


def _is_plain(node: Node) -> bool:
    """Whether a stock node asks for nothing that the operator does not know."""
    left_out = (_Stock.KEY_SCALES, _Stock.VALUE_SCALES)
    others = node.attributes.keys() - _KNOWN
    return not any(map(node.input, left_out)) and not any(map(node.integer, others))


def _packed(name: str, wiring: Wiring) -> str | None:
    """What is gathered into the padded batch; empty for an input that is left out."""
    if name == "":
        return ""
    maker = wiring.maker(name)
    return maker.input(0) if maker is not None and _is_gather(maker) else None


def _is_gather(node: Node) -> bool:
    maps = (contract.QUERY_MAP, contract.TOKEN_MAP)
    return node.kind == "GatherND" and node.input(1) in maps


def _set_ends(model: Model, layout: BlockLayout) -> None:
    """Inputs and outputs of blocks in place of those of slots."""
    for name in [*model.inputs]:
        cache = contract.cache_of(name)
        if cache is not None:
            del model.outputs[contract.present_of(name)]
        if cache is not None or name in _SLOT_INPUTS:
            del model.inputs[name]
    model.inputs.update(BLOCK_INPUTS)
    model.inputs[CACHE] = value_info(CACHE, UINT8, ("blocks", layout.block_bytes))
