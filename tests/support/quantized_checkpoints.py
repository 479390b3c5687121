"""Tiny quantized checkpoints in the formats that the tools write, and what is in them.

Each writer rounds the projections of a random model, packs them as its tool does, and returns the
weights that a reader has to find, f32 by module name.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from nanoaccel.testing import tiny_models

GROUP = 32

Array: TypeAlias = NDArray[Any]
Weights: TypeAlias = dict[str, Array]
# From a module's name and weight [out, in] to the tensors to store and the weight they stand for.
Packer: TypeAlias = Callable[[str, Array], tuple[dict[str, Any], Array]]

_NF4 = [
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
    -0.18477343022823334, -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725,
    0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941,
    0.7229568362236023, 1.0,
]  # fmt: skip
_FP4 = [0, 0.0625, 8, 12, 4, 6, 2, 3, -0.0, -0.0625, -8, -12, -4, -6, -2, -3]  # over 12


def write_gptq(
    folder: Path,
    kind: str = "llama",
    *,
    bits: int = 4,
    symmetric: bool = True,
    act_order: bool = False,
    version: str = "gptq",
    group: int = GROUP,
    **more: Any,
) -> Weights:
    """GPTQ, as GPTQModel and AutoGPTQ store it."""

    def pack(_: str, weight: Array) -> tuple[dict[str, Any], Array]:
        columns = weight.shape[1]
        groups = np.arange(columns) // group
        if act_order:  # projections of one input are quantized with one order
            groups = np.random.default_rng(columns).permutation(groups)
        integers, scales, zeros = _round(weight, groups, bits, symmetric)
        stored = _pack_last(zeros.T, bits).view(np.uint32)
        if version == "gptq":
            stored = stored - np.uint32(sum(1 << shift for shift in range(0, 32, bits)))
        tensors = {
            "qweight": _pack_last(integers, bits).T,
            "qzeros": stored.view(np.int32),
            "scales": scales.T.astype(np.float16),
            "g_idx": groups.astype(np.int32),
        }
        return tensors, _grid(integers, scales, zeros, groups)

    config = {
        "bits": bits,
        "checkpoint_format": version,
        "desc_act": act_order,
        "group_size": group,
        "lm_head": False,
        "meta": {"quantizer": ["gptqmodel:2.2.0"], "true_sequential": True},
        "pack_dtype": "int32",
        "quant_method": "gptq",
        "sym": symmetric,
    }
    return _write(folder, kind, config, pack, **more)


def write_awq(folder: Path, kind: str = "llama", **more: Any) -> Weights:
    """AWQ in AutoAWQ's "gemm" layout."""

    def pack_columns(integers: Array) -> Array:
        words = np.zeros((integers.shape[0], integers.shape[1] // 8), np.uint32)
        for place, column in enumerate((0, 2, 4, 6, 1, 3, 5, 7)):
            words |= integers[:, column::8].astype(np.uint32) << (4 * place)
        return words.view(np.int32)

    def pack(_: str, weight: Array) -> tuple[dict[str, Any], Array]:
        groups = np.arange(weight.shape[1]) // GROUP
        integers, scales, zeros = _round(weight, groups, 4, symmetric=False)
        tensors = {
            "qweight": pack_columns(integers.T),
            "qzeros": pack_columns(zeros.T),
            "scales": scales.T.astype(np.float16),
        }
        return tensors, _grid(integers, scales, zeros, groups)

    config = {
        "bits": 4,
        "group_size": GROUP,
        "modules_to_not_convert": None,
        "quant_method": "awq",
        "version": "gemm",
        "zero_point": True,
    }
    return _write(folder, kind, config, pack, **more)


def write_compressed_tensors(
    folder: Path,
    kind: str = "llama",
    *,
    layout: str = "pack-quantized",
    bits: int = 4,
    symmetric: bool = True,
    group: int | None = GROUP,
    act_order: bool = False,
    **more: Any,
) -> Weights:
    """compressed-tensors, as llm-compressor stores it; a group of None is a whole row."""

    def pack(_: str, weight: Array) -> tuple[dict[str, Any], Array]:
        columns = weight.shape[1]
        groups = np.arange(columns) // (columns if group is None else group)
        if act_order:
            groups = np.random.default_rng(columns).permutation(groups)
        integers, scales, zeros = _round(weight, groups, bits, symmetric)
        tensors = {
            "weight_packed": _pack_last(integers, bits),
            "weight_scale": _bf16(scales),
            "weight_shape": np.array(weight.shape, np.int64),
        }
        if not symmetric:
            tensors["weight_zero_point"] = _pack_last(zeros.T, bits).T
        if act_order:
            tensors["weight_g_idx"] = groups.astype(np.int32)
        return tensors, _grid(integers, _bf16(scales).float().numpy(), zeros, groups)

    plain = {"int-quantized": _pack_int8_rows, "float-quantized": _pack_fp8_rows}
    rows = group is None or layout in plain
    weights = {
        "actorder": "group" if act_order else None,
        "dynamic": False,
        "group_size": None if rows else group,
        "num_bits": bits,
        "strategy": "channel" if rows else "group",
        "symmetric": symmetric,
        "type": "float" if layout == "float-quantized" else "int",
    }
    config = {
        "config_groups": {"group_0": {"targets": ["Linear"], "weights": weights}},
        "format": layout,
        "ignore": ["lm_head"],
        "quant_method": "compressed-tensors",
        "quantization_status": "compressed",
    }
    return _write(folder, kind, config, plain.get(layout, pack), **more)


def write_bitsandbytes(
    folder: Path, kind: str = "llama", *, layout: str = "nf4", double: bool = True, **more: Any
) -> Weights:
    """bitsandbytes: "nf4" or "fp4", with or without double quantization, or "int8"."""
    config = {
        "_load_in_4bit": layout != "int8",
        "_load_in_8bit": layout == "int8",
        "bnb_4bit_compute_dtype": "bfloat16",
        "bnb_4bit_quant_storage": "uint8",
        "bnb_4bit_quant_type": layout if layout != "int8" else "fp4",
        "bnb_4bit_use_double_quant": double,
        "llm_int8_threshold": 6.0,
        "load_in_4bit": layout != "int8",
        "load_in_8bit": layout == "int8",
        "quant_method": "bitsandbytes",
    }

    def pack(_: str, weight: Array) -> tuple[dict[str, Any], Array]:
        return _pack_codes(weight, layout, double)

    return _write(folder, kind, config, _pack_scb if layout == "int8" else pack, **more)


def edit_tensors(folder: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    """Change the tensors of a checkpoint that is one file."""
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    edit(tensors)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


def split_in_shards(folder: Path) -> None:
    """Spread the tensors of a checkpoint over two files, with an index."""
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    names = sorted(tensors)
    index: dict[str, str] = {}
    for place in range(2):  # neighbors part, so that layers do
        file = f"model-{place + 1:05}-of-00002.safetensors"
        save_file({name: tensors[name] for name in names[place::2]}, folder / file)
        index.update(dict.fromkeys(names[place::2], file))
    (folder / "model.safetensors").unlink()
    text = json.dumps({"metadata": {}, "weight_map": index})
    (folder / "model.safetensors.index.json").write_text(text)


def _write(
    folder: Path, kind: str, quantization: dict[str, Any], pack: Packer, **more: Any
) -> Weights:
    """A folder of a tiny model whose projections, but for the last one, are packed."""
    import torch
    from safetensors.torch import save_file

    model = tiny_models.make_model(kind, **more)
    tensors = {name: tensor.half() for name, tensor in model.state_dict().items()}
    expected: Weights = {}
    for name, module in model.named_modules():
        if not isinstance(module, torch.nn.Linear) or name == "lm_head":
            continue
        del tensors[f"{name}.weight"]
        stored, expected[name] = pack(name, module.weight.detach().numpy())
        for part, tensor in stored.items():
            made = tensor if isinstance(tensor, torch.Tensor) else torch.from_numpy(tensor.copy())
            tensors[f"{name}.{part}"] = made.contiguous()
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    model.generation_config.save_pretrained(folder)
    config = {**model.config.to_dict(), "dtype": "float16", "quantization_config": quantization}
    config["architectures"] = [type(model).__name__]
    (folder / "config.json").write_text(json.dumps(config))
    return expected


def _round(weight: Array, groups: Array, bits: int, symmetric: bool) -> tuple[Array, Array, Array]:
    """Round to a grid: integers u8 [out, in], scales f32 that f16 holds, zeros u8 [out, groups]."""
    count, highest = int(groups.max()) + 1, 2**bits - 1
    parts = [weight[:, groups == group] for group in range(count)]
    low = np.stack([part.min(axis=1).clip(max=0) for part in parts], axis=1)
    high = np.stack([part.max(axis=1).clip(min=0) for part in parts], axis=1)
    if symmetric:
        high = np.maximum(high, -low)
        low = -high
    scales = ((high - low) / highest).astype(np.float16).astype(np.float32)
    middle = np.full(low.shape, 2 ** (bits - 1))
    zeros = middle if symmetric else np.round(-low / scales).clip(0, highest)
    integers = np.round(weight / scales[:, groups] + zeros[:, groups]).clip(0, highest)
    return integers.astype(np.uint8), scales, zeros.astype(np.uint8)


def _grid(integers: Array, scales: Array, zeros: Array, groups: Array) -> Array:
    return (integers.astype(np.float32) - zeros[:, groups]) * scales[:, groups]


def _pack_last(integers: Array, bits: int) -> Array:
    """Integers [m, n] into words [m, n * bits / 32], the first one lowest."""
    each = 32 // bits
    padded = np.pad(integers, ((0, 0), (0, -integers.shape[1] % each)))
    words = np.zeros((padded.shape[0], padded.shape[1] // each), np.uint32)
    for place in range(each):
        words |= padded[:, place::each].astype(np.uint32) << np.uint32(bits * place)
    return words.view(np.int32)


def _bf16(scales: Array) -> Any:
    import torch

    return torch.from_numpy(scales).bfloat16()


def _pack_int8_rows(_: str, weight: Array) -> tuple[dict[str, Any], Array]:
    scales = np.abs(weight).max(axis=1, keepdims=True) / np.float32(127)
    integers = np.round(weight / scales).astype(np.int8)
    return {"weight": integers, "weight_scale": scales}, integers * scales


def _pack_fp8_rows(_: str, weight: Array) -> tuple[dict[str, Any], Array]:
    import torch

    scales = np.abs(weight).max(axis=1, keepdims=True) / np.float32(448)
    floats = torch.from_numpy(weight / scales).to(torch.float8_e4m3fn)
    return {"weight": floats, "weight_scale": scales}, floats.float().numpy() * scales


def _pack_scb(_: str, weight: Array) -> tuple[dict[str, Any], Array]:
    largest = np.abs(weight).max(axis=1)
    integers = np.round(weight / largest[:, None] * 127).astype(np.int8)
    tensors = {"weight": integers, "SCB": largest, "weight_format": np.array(0, np.uint8)}
    return tensors, integers * (largest / np.float32(127))[:, None]


def _pack_codes(weight: Array, layout: str, double: bool) -> tuple[dict[str, Any], Array]:
    table = np.array(_NF4 if layout == "nf4" else _FP4, np.float32)
    table = table / np.abs(table).max()
    blocks = weight.reshape(-1, 64)
    largest = np.abs(blocks).max(axis=1)
    state: dict[str, Any] = {
        "quant_type": layout,
        "blocksize": 64,
        "dtype": "float16",
        "shape": list(weight.shape),
    }
    tensors: dict[str, Any] = {"weight.absmax": largest, "weight.quant_map": table}
    if double:
        nested, more, largest = _quantize_scales(largest)
        tensors |= nested
        state |= more
    codes = np.abs((blocks / largest[:, None])[..., None] - table).argmin(axis=-1).astype(np.uint8)
    flat = codes.ravel()
    tensors["weight"] = (flat[::2] << 4 | flat[1::2])[:, None]
    text = json.dumps(state).encode()
    tensors[f"weight.quant_state.bitsandbytes__{layout}"] = np.frombuffer(text, np.uint8)
    return tensors, (table[codes] * largest[:, None]).reshape(weight.shape)


def _quantize_scales(largest: Array) -> tuple[dict[str, Any], dict[str, Any], Array]:
    """Double quantization: what to store, what to add to the JSON, and the scales that result."""
    offset = largest.mean()
    table = _dynamic_map()
    block = 256
    shifted = largest - offset
    scales = np.array(
        [np.abs(shifted[at : at + block]).max() for at in range(0, shifted.size, block)]
    )
    spread = np.repeat(scales, block)[: shifted.size]
    codes = np.abs((shifted / spread)[:, None] - table).argmin(axis=1).astype(np.uint8)
    nested = {
        "weight.absmax": codes,
        "weight.nested_absmax": scales,
        "weight.nested_quant_map": table,
    }
    state = {"nested_blocksize": block, "nested_dtype": "float32", "nested_offset": float(offset)}
    return nested, state, table[codes] * spread + offset


def _dynamic_map() -> Array:
    """The 256 values of bitsandbytes' dynamic type: finer near zero."""
    values = [0.0, 1.0]
    for place in range(7):
        edges = np.linspace(0.1, 1, 2**place + 1)
        means = 10.0 ** (place - 6) * (edges[:-1] + edges[1:]) / 2
        values += [*means, *-means]
    return np.sort(np.array(values, np.float32))
