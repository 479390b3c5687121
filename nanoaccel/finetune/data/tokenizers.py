"""The tokenizer of a model, wherever the model is."""

from __future__ import annotations

import tempfile
from pathlib import Path

from nanoaccel.bundle import Bundle
from nanoaccel.exporters.quiet import quiet
from nanoaccel.exporters.source.model_source import resolve
from nanoaccel.exporters.source.tokenizer_files import write_tokenizer
from nanoaccel.text import Tokenizer


def open_tokenizer(model: str) -> Tokenizer:
    """The tokenizer of a bundle or a model.

    Args:
        model: A bundle's folder, or what is exported: hub id, folder, .gguf file, or "sample".

    Raises:
        SourceError: There is no such model, or it has no tokenizer.
    """
    if Bundle.is_one(model):
        return Tokenizer.load(Bundle.open(model).tokenizer_folder)
    source = resolve(model)
    with tempfile.TemporaryDirectory() as folder:
        with quiet():
            write_tokenizer(source, Path(folder))
        return Tokenizer.load(Path(folder))
