"""What a checkpoint's files say about its quantization."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from nanoaccel.errors import SourceError, UnsupportedModelError
from nanoaccel.exporters.source.model_folder import read_config, read_json
from nanoaccel.exporters.source.prequantized.keys import unknown_keys

Method: TypeAlias = Literal["gptq", "awq", "compressed-tensors", "bitsandbytes", "mxfp4"]

_TITLES: dict[Method, str] = {
    "gptq": "GPTQ",
    "awq": "AWQ",
    "compressed-tensors": "compressed-tensors",
    "bitsandbytes": "bitsandbytes",
    "mxfp4": "MXFP4",
}
_CONFIG = "quantization_config"
# Where older quantizers wrote it, and which.
_OLD_FILES: dict[str, Method] = {"quantize_config.json": "gptq", "quant_config.json": "awq"}
_FOREIGN_FILE = "hf_quant_config.json"  # of NVIDIA's ModelOpt
_GPTQ_FORMATS = ("gptq", "gptq_v2")
_GPTQ_BITS = (2, 4, 8)  # 3-bit integers straddle words
_COMPRESSED_FORMATS = ("pack-quantized", "int-quantized", "float-quantized", "naive-quantized")


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """How the weights of a checkpoint are stored.

    Args:
        method: The tool whose format it is.
        format: The variant of it ("gptq_v2", "gemm", "pack-quantized", "nf4", ...).
        bits: Bits of one weight. Where layers differ, of the first kind that is named.
        group_size: Weights along the input that share a scale; None is a whole row, or blocks
            that do not follow rows (bitsandbytes).
        desc_act: Whether groups follow the order of activations instead of the columns.
    """

    method: Method
    format: str
    bits: int
    group_size: int | None = None
    desc_act: bool = False

    def describe(self) -> str:
        """The checkpoint in a few words."""
        words = [f"{_TITLES[self.method]} {self.bits}-bit"]
        if self.format != self.method:
            words.append(self.format)
        if self.group_size is not None:
            words.append(f"scale for {self.group_size} weights")
        if self.desc_act:
            words.append("act-order")
        return ", ".join(words)


def find_quantization(folder: Path) -> Checkpoint | None:
    """Read how the weights in a folder are quantized; None when they are not.

    Raises:
        SourceError: A file that says it cannot be read.
        UnsupportedModelError: The method, or what the config asks for beside it, cannot be done.
    """
    config = read_config(folder)
    found = detect(config)
    if found is not None:
        return found
    for name, method in _OLD_FILES.items():
        path = folder / name
        if path.is_file():
            return detect({_CONFIG: {"quant_method": method, **read_json(path)}})
    if (folder / _FOREIGN_FILE).is_file():
        raise _unsupported(f"quantized as {folder / _FOREIGN_FILE} says")
    return None


def detect(config: Mapping[str, Any]) -> Checkpoint | None:
    """Read ``quantization_config``.

    Args:
        config: The contents of config.json.

    Returns:
        None for a model that is not quantized.

    Raises:
        SourceError: It is no config, or holds values of another type.
        UnsupportedModelError: The method, or its variant, is not one that can be read, or a key
            asks for what is not done.
    """
    quantization = config.get(_CONFIG)
    if quantization is None:
        return None
    try:
        found = _read(quantization)
        unknown = unknown_keys(found.method, quantization)
    except (TypeError, ValueError, AttributeError, KeyError) as error:
        raise SourceError(
            f"{_CONFIG} in config.json cannot be read: {error}", "Download the model again"
        ) from error
    if unknown:
        raise UnsupportedModelError(
            f"{_CONFIG} asks for what is not done here: {', '.join(unknown)}",
            "Use the unquantized model, or a checkpoint of quantized weights alone",
        )
    return found


def _read(quantization: Mapping[str, Any]) -> Checkpoint:
    method = str(quantization.get("quant_method", "")).lower()
    if method == "gptq":
        return _gptq(quantization)
    if method == "awq":
        return _awq(quantization)
    if method == "compressed-tensors":
        return _compressed_tensors(quantization)
    if method == "bitsandbytes" or (not method and quantization.get("load_in_4bit") is not None):
        return _bitsandbytes(quantization)
    if method == "mxfp4":
        return Checkpoint(method="mxfp4", format="mxfp4", bits=4, group_size=32)
    raise _unsupported(f"quantized with {method or 'an unnamed method'}")


def _gptq(quantization: Mapping[str, Any]) -> Checkpoint:
    layout = _first(quantization, "checkpoint_format", "format", otherwise="gptq")
    bits = int(quantization.get("bits", 4))
    if layout not in _GPTQ_FORMATS or quantization.get("is_marlin_format"):
        raise _unsupported(f"GPTQ in the format {layout!r}")
    if bits not in _GPTQ_BITS:
        raise _unsupported(f"GPTQ with {bits} bits")
    return Checkpoint(
        method="gptq",
        format=layout,
        bits=bits,
        group_size=_group(quantization.get("group_size")),
        desc_act=bool(quantization.get("desc_act", False)),
    )


def _awq(quantization: Mapping[str, Any]) -> Checkpoint:
    layout = str(_first(quantization, "version", "format", otherwise="gemm")).lower()
    bits = int(_first(quantization, "bits", "w_bit", otherwise=4))
    if layout != "gemm" or bits != 4:
        raise _unsupported(f"AWQ {layout!r} with {bits} bits")
    group = _first(quantization, "group_size", "q_group_size", otherwise=None)
    return Checkpoint(method="awq", format=layout, bits=bits, group_size=_group(group))


def _compressed_tensors(quantization: Mapping[str, Any]) -> Checkpoint:
    groups = list(quantization.get("config_groups", {}).values())
    schemes = [group["weights"] for group in groups if group.get("weights") is not None]
    layout = quantization.get("format")
    layouts = {_first(group, "format", otherwise=layout) for group in groups}
    unknown = sorted(str(layout) for layout in layouts if layout not in _COMPRESSED_FORMATS)
    if unknown or not schemes:
        raise _unsupported(f"compressed-tensors {', '.join(unknown) or 'without weights'}")
    sparsity = _first(quantization, "sparsity_config", otherwise={}).get("format", "dense")
    if sparsity != "dense":
        raise _unsupported(f"compressed-tensors {sparsity}")
    first = schemes[0]
    return Checkpoint(
        method="compressed-tensors",
        format=str(layout),
        bits=int(_first(first, "num_bits", otherwise=8)),
        group_size=_group(first.get("group_size")),
        desc_act=first.get("actorder") in (True, "group", "dynamic"),
    )


def _bitsandbytes(quantization: Mapping[str, Any]) -> Checkpoint:
    if not quantization.get("load_in_4bit"):
        return Checkpoint(method="bitsandbytes", format="int8", bits=8)
    layout = str(quantization.get("bnb_4bit_quant_type", "fp4"))
    return Checkpoint(method="bitsandbytes", format=layout, bits=4)


def _first(quantization: Mapping[str, Any], *keys: str, otherwise: Any) -> Any:
    """The value of the first key that is set."""
    said = (quantization[key] for key in keys if quantization.get(key) is not None)
    return next(said, otherwise)


def _group(size: int | None) -> int | None:
    return None if size is None or size == -1 else int(size)


def _unsupported(what: str) -> UnsupportedModelError:
    return UnsupportedModelError(
        f"The weights are {what}, which cannot be read",
        "Use the unquantized model, or one in GPTQ (2, 4 or 8 bits), AWQ (gemm), "
        f"compressed-tensors ({', '.join(_COMPRESSED_FORMATS)}), bitsandbytes or MXFP4",
    )
