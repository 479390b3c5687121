"""bitsandbytes: codes of a table of 16 values, or int8 rows.

    4-bit  weight u8 [out * in / 2, 1], the earlier code in the upper half of a byte
           weight.quant_map f32 [16], what a code means
           weight.absmax f32 [blocks], the scale of 64 weights that follow each other
           weight.quant_state.bitsandbytes__nf4 (or __fp4) u8, JSON: shape, blocksize, ...
           with double quantization absmax is u8, codes of nested_quant_map f32 [256], scaled by
           nested_absmax and shifted by the JSON's nested_offset
    int8   weight i8 [out, in], SCB f32 [out], the largest magnitude of a row

Layout: https://github.com/bitsandbytes-foundation/bitsandbytes; NF4 and double quantization:
https://arxiv.org/abs/2305.14314. The blocks cross rows and the codes lie on no even grid, so the
weights are dequantized.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nanoaccel.exporters.source.prequantized.layer import Format, Layer
from nanoaccel.exporters.source.prequantized.packed import Dense

if TYPE_CHECKING:
    from nanoaccel.exporters.source.prequantized.checkpoint import Checkpoint

_STATES = ("weight.quant_state.bitsandbytes__nf4", "weight.quant_state.bitsandbytes__fp4")
_INT8_MAX = np.float32(127)


def _decode(layer: Layer, checkpoint: Checkpoint) -> Dense:
    return _int8(layer) if checkpoint.format == "int8" else _codes(layer)


def _int8(layer: Layer) -> Dense:
    weight: NDArray[np.int8] = layer.tensor("weight", "int8").numpy()
    if "weight_format" in layer and layer.tensor("weight_format").any():
        raise layer.odd("weight_format", "0, rows in place")
    largest = layer.scales("SCB", weight.shape[:1]).astype(np.float32)
    row_scales: Dense = largest / _INT8_MAX
    return weight.astype(np.float32) * row_scales[:, None]


def _codes(layer: Layer) -> Dense:
    import torch

    state = _state(layer)
    rows, columns = state["shape"]
    count, block = rows * columns, state["blocksize"]
    # "bnb_4bit_quant_storage" may call the bytes by another type
    octets: NDArray[np.uint8] = layer.tensor("weight").flatten().view(torch.uint8).numpy()
    if octets.size != math.ceil(count / 2):
        raise layer.odd("weight", f"{math.ceil(count / 2)} bytes")
    codes = np.stack((octets >> 4, octets & 15), axis=-1).ravel()[:count]
    table: Dense = layer.scales("weight.quant_map", (16,)).astype(np.float32)
    scales = _block_scales(layer, state, math.ceil(count / block))
    return _scale(table[codes], scales, block).reshape(rows, columns)


def _block_scales(layer: Layer, state: dict[str, Any], count: int) -> Dense:
    if "weight.nested_absmax" not in layer:
        return layer.scales("weight.absmax", (count,)).astype(np.float32)
    codes: NDArray[np.uint8] = layer.tensor("weight.absmax", "uint8").numpy()
    if codes.shape != (count,):
        raise layer.odd("weight.absmax", f"shape {[count]}")
    block = state["nested_blocksize"]
    table: Dense = layer.scales("weight.nested_quant_map", (256,)).astype(np.float32)
    scales = layer.scales("weight.nested_absmax", (math.ceil(count / block),)).astype(np.float32)
    shifted: Dense = _scale(table[codes], scales, block) + np.float32(state["nested_offset"])
    return shifted


def _scale(values: Dense, scales: Dense, block: int) -> Dense:
    """Multiply values [n] by the scale [n / block] of their block; the last may be short."""
    scaled: Dense = values * np.repeat(scales, block)[: values.size]
    return scaled


def _state(layer: Layer) -> dict[str, Any]:
    part = next((part for part in _STATES if part in layer), _STATES[0])
    stored = layer.tensor(part, "uint8")
    try:
        state: dict[str, Any] = json.loads(stored.numpy().tobytes())
    except ValueError as error:
        raise layer.odd(part, "JSON") from error
    needed = ["shape", "blocksize"]
    if "weight.nested_absmax" in layer:
        needed += ["nested_blocksize", "nested_offset"]
    missing = [key for key in needed if key not in state]
    if missing or len(state["shape"]) != 2:
        raise layer.odd(part, f"JSON with {', '.join(missing) or 'a shape of two axes'}")
    return state


BITSANDBYTES = Format(
    frozenset(
        {
            "SCB",
            "weight_format",
            "weight.absmax",
            "weight.quant_map",
            "weight.nested_absmax",
            "weight.nested_quant_map",
            *_STATES,
        }
    ),
    _decode,
)
