"""Whole bundles whose graph is only bytes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import tokenizers

from nanoaccel.bundle import MANIFEST, Manifest, ModelEntry, list_files
from nanoaccel.testing.engines import letter_tokenizer


def write_paper_bundle(
    folder: Path,
    *,
    fingerprint: str | None = None,
    more_tokens: Sequence[str] = (),
    graph: str = "<net/>",
) -> Path:
    """A bundle with a letter tokenizer.

    Args:
        folder: Where to; made new.
        fingerprint: Of its weights.
        more_tokens: That its tokenizer has besides letters.
        graph: Text of its graph.
    """
    (folder / "openvino").mkdir(parents=True)
    letter_tokenizer(folder)
    if more_tokens:
        add_tokens(folder, more_tokens)
    (folder / "openvino" / "openvino_model.xml").write_text(graph)
    (folder / "openvino" / "openvino_model.bin").write_bytes(bytes(5000))
    manifest = Manifest(
        target=ModelEntry(
            runtime="openvino",
            graph="openvino/openvino_model.xml",
            architecture="llama",
            context_length=4096,
            parameters=10_000,
            weight_group_size=64,
            fingerprint=fingerprint,
        ),
        source={"id": "org/model", "revision": "abc123"},
        recipe={"weights": "int4", "symmetric": True, "group_size": 64},
        tools={"openvino": "2026.1"},
        validation={"kl": 0.25, "top1_agreement": 0.875},
        files=list_files(folder),
    )
    (folder / MANIFEST).write_text(manifest.to_json())
    return folder


def add_tokens(folder: Path, tokens: Sequence[str]) -> None:
    """Give the tokenizer of a folder more tokens."""
    file = str(folder / "tokenizer.json")
    tokenizer = tokenizers.Tokenizer.from_file(file)
    tokenizer.add_tokens(list(tokens))
    tokenizer.save(file)
