"""The sampling that a GGUF file recommends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nanoaccel.exporters.source.gguf.metadata import GGUFMetadata

if TYPE_CHECKING:
    from transformers import GenerationConfig

_FLOATS = {
    "temp": "temperature",
    "top_p": "top_p",
    "min_p": "min_p",
    "penalty_repeat": "repetition_penalty",
}


def apply_sampling(metadata: GGUFMetadata, generation: GenerationConfig) -> None:
    """Write `general.sampling.*` into a generation config; what it cannot say is left out."""
    found: dict[str, float] = {}
    for key, name in _FLOATS.items():
        value = metadata.find(f"general.sampling.{key}", float)
        if value is not None:
            found[name] = round(value, 6)  # kept in f32
    top_k = metadata.find("general.sampling.top_k", int)
    if top_k is not None:
        found["top_k"] = top_k
    if found.get("temperature") == 0:
        generation.do_sample = False
        return
    for name, number in found.items():
        setattr(generation, name, number)
    if found:
        generation.do_sample = True
