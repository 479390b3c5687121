"""MXFP4 of gpt-oss: E2M1 numbers with an E8M0 exponent for each 32, of all experts in one tensor.

    NAME_blocks u8 [experts, out, in / 32, 16], the earlier code in the lower half of a byte
    NAME_scales u8 [experts, out, in / 32], exponents: 2^(n - 127)
    becomes NAME [experts, in, out]

Microscaling formats: https://www.opencompute.org/documents/ocp-microscaling-formats-mx-v1-0-spec-final-pdf.
bf16 holds every such number exactly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nanoaccel.errors import SourceError
from nanoaccel.exporters.source.prequantized.layer import Layer

if TYPE_CHECKING:
    import torch

    from nanoaccel.exporters.source.prequantized.tensor_files import TensorFiles

BLOCKS, SCALES = "_blocks", "_scales"
_NUMBERS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
_BYTES = 16  # of a block
_ONE, _NO_NUMBER = 127, 255  # exponents


def dequantize_experts(tensors: TensorFiles, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """All tensors by name; blocks and their exponents become weights.

    Args:
        tensors: Those of the checkpoint.
        dtype: Type of the weights that are made.

    Raises:
        SourceError: Blocks and exponents do not fit each other, or an exponent is no number.
    """
    names = [name.removesuffix(BLOCKS) for name in tensors if name.endswith(BLOCKS)]
    parts = {f"{name}{part}" for name in names for part in (BLOCKS, SCALES)}
    state = {name: tensors[name] for name in tensors if name not in parts}
    for name in names:
        module, _, leaf = name.rpartition(".")
        stored = {
            f"{leaf}{part}": tensors[f"{name}{part}"]
            for part in (BLOCKS, SCALES)
            if f"{name}{part}" in tensors
        }
        state[name] = _weights(Layer(module, stored), leaf, dtype)
    return state


def _weights(layer: Layer, name: str, dtype: torch.dtype) -> torch.Tensor:
    import torch

    blocks, scales = (layer.tensor(f"{name}{part}", "uint8") for part in (BLOCKS, SCALES))
    if blocks.ndim != 4 or blocks.shape[3] != _BYTES:
        raise layer.odd(f"{name}{BLOCKS}", f"[experts, out, groups, {_BYTES}]")
    if scales.shape != blocks.shape[:3]:
        raise layer.odd(f"{name}{SCALES}", f"shape {list(blocks.shape[:3])}")
    if bool((scales == _NO_NUMBER).any()):
        raise SourceError(
            f"{layer.name} has scales that are not finite ({name}{SCALES})",
            "The checkpoint is damaged; download it again, or use another one",
        )
    experts, rows, groups = scales.shape
    made = torch.empty(experts, groups * 2 * _BYTES, rows, dtype=dtype)
    table = torch.tensor([*_NUMBERS, *(-number for number in _NUMBERS)])
    for expert in range(experts):
        codes = torch.stack([blocks[expert] & 15, blocks[expert] >> 4], dim=-1).flatten(2)
        exponents = scales[expert].int() - _ONE
        made[expert] = torch.ldexp(table[codes.int()], exponents[..., None]).flatten(1).T
    return made
