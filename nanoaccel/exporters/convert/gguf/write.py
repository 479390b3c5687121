"""Writes a GGUF file: keys first, then one tensor after the other."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nanoaccel.errors import UnsupportedModelError
from nanoaccel.exporters.convert.gguf.blocks import SAME, Blocks, copied, type_for
from nanoaccel.exporters.convert.gguf.fields import (
    architecture_for,
    check_config,
    fields_of,
    rope_tensors,
    written_metadata,
)
from nanoaccel.exporters.convert.gguf.tokenizer import tokenizer_fields
from nanoaccel.exporters.progress import Tell, silence
from nanoaccel.exporters.publish import check_space

if TYPE_CHECKING:
    from gguf import GGUFWriter
    from numpy.typing import NDArray
    from transformers import PreTrainedModel

    from nanoaccel.exporters.source.gguf.architectures import GGUFArchitecture
    from nanoaccel.exporters.targets.onnx.stored import StoredWeight

_SAMPLING = {
    "temperature": "temp",
    "top_p": "top_p",
    "min_p": "min_p",
    "repetition_penalty": "penalty_repeat",
}
_ROUNDED = "q8_0"  # what codes become that no type holds
_SUFFIXES = (".weight", ".bias")


@dataclass(frozen=True, slots=True, kw_only=True)
class GGUFContent:
    """What goes into a file.

    Args:
        name: Name of the model, for people.
        model: The model in float.
        tokenizer: Folder of its tokenizer.
        stored: Its matrices as they are stored already, by module; empty when they are floats.
    """

    name: str
    model: PreTrainedModel
    tokenizer: Path
    stored: Mapping[str, StoredWeight] = field(default_factory=dict)


@dataclass(slots=True)
class WrittenGGUF:
    """What became of the matrices.

    Args:
        types: Number of matrices by type.
        copied: Matrices whose weights are the very numbers they were made of.
        rounded: Matrices whose weights were rounded, to 16 bits or less.
    """

    types: dict[str, int] = field(default_factory=dict)
    copied: int = 0
    rounded: int = 0


def write_gguf(path: Path, content: GGUFContent, kind: str, tell: Tell = silence) -> WrittenGGUF:
    """Write a model, and read its keys back.

    Args:
        path: The file.
        content: The model.
        kind: One of ``GGUF_TYPES``, or ``SAME``: codes that are stored are copied where a type
            holds them, and all else becomes q8_0; floats keep their type.
        tell: Called with the share that is done.

    Raises:
        UnsupportedModelError: llama.cpp has no such model or tokenizer, or a file cannot say all
            of its config.
        ExportError: The disk is too full.
    """
    import gguf

    config = content.model.config
    name, architecture = architecture_for(config)
    writer = gguf.GGUFWriter(str(path), name)
    try:
        _add_keys(writer, name, content)
        jobs = _jobs(content, architecture, kind)
        check_space(path.parent, sum(job.size for job in jobs))
        for job in jobs:
            job.announce(writer)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        written = WrittenGGUF()
        for number, job in enumerate(jobs):
            job.write(writer, written)
            tell((number + 1) / len(jobs))
    finally:
        writer.close()
    check_config(written_metadata(path), config)
    return written


def _add_keys(writer: GGUFWriter, architecture: str, content: GGUFContent) -> None:
    writer.add_name(content.name)
    writer.add_quantization_version(2)
    config, generation = content.model.config, content.model.generation_config
    for key, value in fields_of(config).items():
        _add(writer, f"{architecture}.{key}", value)
    ends = None if generation is None else generation.eos_token_id
    end_ids = ends if isinstance(ends, list) else [] if ends is None else [ends]
    found = tokenizer_fields(content.tokenizer, architecture, config.vocab_size, end_ids)
    for key, value in found.items():
        _add(writer, key, value)
    if generation is None or not generation.do_sample:
        return
    for option, key in _SAMPLING.items():
        number = getattr(generation, option, None)
        if number is not None:
            _add(writer, f"general.sampling.{key}", float(number))
    if generation.top_k is not None:
        writer.add_int32("general.sampling.top_k", generation.top_k)


def _add(writer: GGUFWriter, key: str, value: Any) -> None:
    if isinstance(value, bool):
        writer.add_bool(key, value)
    elif isinstance(value, int):
        writer.add_uint32(key, value)
    elif isinstance(value, float):
        writer.add_float32(key, value)
    elif isinstance(value, str):
        writer.add_string(key, value)
    else:
        writer.add_array(key, value)


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    """A tensor to write: floats that become a type, or codes that are copied."""

    name: str
    shape: tuple[int, ...]
    type: str
    floats: Any  # a torch tensor or an array
    blocks: StoredWeight | None
    turn: tuple[int, float]  # heads whose rows are paired, and what is added

    @property
    def size(self) -> int:
        """Bytes in the file."""
        return math.prod(self._octets)

    @property
    def _octets(self) -> tuple[int, ...]:
        """Its shape in bytes."""
        import gguf

        block, octets = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[self.type]]
        return (*self.shape[:-1], self.shape[-1] // block * octets)

    def announce(self, writer: GGUFWriter) -> None:
        import gguf

        number = gguf.GGMLQuantizationType[self.type]
        kind = np.dtype(np.uint8)
        writer.add_tensor_info(self.name, self._octets, kind, self.size, raw_dtype=number)

    def write(self, writer: GGUFWriter, written: WrittenGGUF) -> None:
        if len(self.shape) > 1:
            written.types[self.type] = written.types.get(self.type, 0) + 1
        heads, _ = self.turn
        if self.blocks is not None:
            stored = self.blocks if heads == 0 else self.blocks.take(_paired_rows(self, heads))
            found = copied(stored)
            assert found is not None, "it was copied before"
            octets, exact = found.octets, found.exact
        else:
            octets, exact = self._encoded()
        if len(self.shape) > 1:
            written.copied += exact
            written.rounded += not exact
        writer.write_tensor_data(octets)

    def _encoded(self) -> tuple[NDArray[np.uint8], bool]:
        import gguf

        heads, shift = self.turn
        floats = self.floats if isinstance(self.floats, np.ndarray) else _numpy(self.floats)
        values = floats + np.float32(shift) if shift else floats
        values = values if heads == 0 else values[_paired_rows(self, heads)]
        number = gguf.GGMLQuantizationType[self.type]
        octets = gguf.quantize(np.ascontiguousarray(values), number)
        exact = np.array_equal(gguf.dequantize(octets, number).reshape(values.shape), values)
        return np.ascontiguousarray(octets).view(np.uint8), exact


def _jobs(content: GGUFContent, architecture: GGUFArchitecture, kind: str) -> list[_Job]:
    """Every tensor of the file, in order.

    Raises:
        UnsupportedModelError: One has no name in llama.cpp's files.
    """
    config = content.model.config
    names = _names(architecture, config.num_hidden_layers)
    jobs = [
        _Job(name, values.shape, "F32", values, None, (0, 0.0))
        for name, values in rope_tensors(config).items()
    ]
    for parameter, tensor in content.model.named_parameters():  # a tied head comes once
        name = names.get(parameter)
        if name is None:
            raise UnsupportedModelError(
                f"{parameter} of a {config.model_type!r} has no place in a GGUF file",
                "Convert it to a bundle instead",
            )
        turn = _turn(name, architecture, config)
        stored = content.stored.get(parameter.removesuffix(".weight"))
        blocks = _blocks(stored) if kind == SAME else None
        if blocks is not None:
            jobs.append(_Job(name, tuple(tensor.shape), blocks.type, tensor, stored, turn))
            continue
        wanted = _own_type(tensor) if kind == SAME and stored is None else kind
        wanted = _ROUNDED if wanted == SAME else wanted
        shape = tuple(tensor.shape)
        jobs.append(_Job(name, shape, type_for(name, shape, wanted), tensor, None, turn))
    return jobs


def _blocks(stored: StoredWeight | None) -> Blocks | None:
    return None if stored is None else copied(stored)


def _own_type(tensor: Any) -> str:
    return {"torch.bfloat16": "bf16", "torch.float16": "f16"}.get(str(tensor.dtype), "f32")


def _names(architecture: GGUFArchitecture, layers: int) -> dict[str, str]:
    """Names in the file by parameter: ``GGUFArchitecture.parameter_of`` the other way round."""
    whole = ["token_embd", "output_norm", "output"]
    bases = [*whole, *(f"blk.{i}.{part}" for i in range(layers) for part in architecture.layer)]
    found: Iterator[str] = (base + suffix for base in bases for suffix in _SUFFIXES)
    return {parameter: n for n in found if (parameter := architecture.parameter_of(n)) is not None}


def _turn(name: str, architecture: GGUFArchitecture, config: Any) -> tuple[int, float]:
    """Heads whose rows llama.cpp pairs for rotation, and what its norms add."""
    if architecture.norms_from_one and name.endswith("norm.weight"):
        return 0, 1.0
    if architecture.permuted and ".attn_q." in name:
        return config.num_attention_heads, 0.0
    if architecture.permuted and ".attn_k." in name:
        return config.num_key_value_heads, 0.0
    return 0, 0.0


def _paired_rows(job: _Job, heads: int) -> NDArray[np.int64]:
    rows = np.arange(job.shape[0], dtype=np.int64)
    paired: NDArray[np.int64] = rows.reshape(heads, 2, -1).swapaxes(1, 2).ravel()
    return paired


def _numpy(tensor: Any) -> NDArray[np.float32]:
    array: NDArray[np.float32] = tensor.detach().float().cpu().numpy()
    return array
