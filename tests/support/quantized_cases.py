"""Quantized checkpoints by what is special about them, and how to load one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from support import quantized_checkpoints as checkpoints

from nanoaccel.exporters.quiet import quiet
from nanoaccel.exporters.source.prequantized import PackedWeight, detect, load_quantized

Writer = Callable[[Path], checkpoints.Weights]


def gptq(**options: Any) -> Writer:
    return lambda folder: checkpoints.write_gptq(folder, **options)


def awq(**options: Any) -> Writer:
    return lambda folder: checkpoints.write_awq(folder, **options)


def compressed(**options: Any) -> Writer:
    return lambda folder: checkpoints.write_compressed_tensors(folder, **options)


def bitsandbytes(**options: Any) -> Writer:
    return lambda folder: checkpoints.write_bitsandbytes(folder, **options)


PACKED: dict[str, Writer] = {
    "gptq": gptq(),
    "gptq-asym": gptq(symmetric=False),
    "gptq-asym-v2": gptq(symmetric=False, version="gptq_v2"),
    "gptq-v2": gptq(version="gptq_v2"),
    "gptq-act-order": gptq(act_order=True),
    "gptq-act-order-asym": gptq(act_order=True, symmetric=False),
    "gptq-act-order-v2": gptq(act_order=True, version="gptq_v2", kind="qwen2"),
    "gptq-biases": gptq(kind="qwen2", symmetric=False),
    "awq": awq(),
    "awq-biases": awq(kind="qwen2"),
    "pack-quantized": compressed(),
    "pack-quantized-asym": compressed(symmetric=False),
    "pack-quantized-rows": compressed(group=None),
    "pack-quantized-rows-asym": compressed(group=None, symmetric=False),
    "pack-quantized-act-order": compressed(act_order=True),
}
"""Those whose integers go into the graph as they are."""

DEQUANTIZED: dict[str, Writer] = {
    "gptq-8-bit": gptq(bits=8),
    "gptq-8-bit-asym": gptq(bits=8, symmetric=False, act_order=True),
    "gptq-2-bit": gptq(bits=2, symmetric=False),
    "pack-quantized-8-bit": compressed(bits=8),
    "pack-quantized-8-bit-asym": compressed(bits=8, symmetric=False),
    "int-quantized": compressed(layout="int-quantized", bits=8),
    "float-quantized": compressed(layout="float-quantized", bits=8),
    "nf4": bitsandbytes(),
    "nf4-single": bitsandbytes(double=False),
    "fp4": bitsandbytes(layout="fp4"),
    "bnb-int8": bitsandbytes(layout="int8"),
}


def load(folder: Path) -> tuple[Any, dict[str, PackedWeight]]:
    """The model, in f32, and the packed weights of a checkpoint."""
    import torch

    checkpoint = detect(json.loads((folder / "config.json").read_text()))
    assert checkpoint is not None
    with quiet():
        return load_quantized(folder, checkpoint, torch.float32)
