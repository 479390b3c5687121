"""Cache keys of an original model: they cover all that its predictions depend on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from nanoaccel.bundle import sha256_of
from nanoaccel.cached_json import versions_of

if TYPE_CHECKING:
    from nanoaccel.exporters.source.model_source import Source

# To be raised when the reading of models changes, so that nothing from before is found.
_FORMAT = 1
_PATTERNS = (
    *("*.safetensors", "*.bin", "*.json", "*.model", "*.tiktoken", "vocab.*", "merges.txt"),
    *("*.jinja", "additional_chat_templates/*.jinja"),
)
_PART = re.compile(r"-\d{5}-of-(\d{5})\.gguf$")
_PACKAGES = ("nanoaccel", "torch", "transformers", "tokenizers", "gguf")
_GRAPH_PACKAGES = ("openvino", "nncf")


def content_key(source: Source) -> str:
    """sha256 over every byte of a model's weights, configuration and tokenizer.

    Args:
        source: Where it is.
    """
    files = sorted(_files(source))
    with ThreadPoolExecutor() as pool:
        sums = list(pool.map(sha256_of, files))
    named = [f"{file.name} {found}" for file, found in zip(files, sums, strict=True)]
    return sha256("\n".join(named).encode()).hexdigest()


def original_key(content: str, version: int = _FORMAT) -> str:
    """Key of a model's predictions: its content, and the versions that read and run it.

    Args:
        content: Its ``content_key``.
        version: Version of the code that reads models.
    """
    return _named(content, _PACKAGES, version)


def graph_key(content: str) -> str:
    """Key of what is measured on graphs of a model: adds the versions that make and run graphs.

    Args:
        content: Its ``content_key``.
    """
    return _named(content, (*_PACKAGES, *_GRAPH_PACKAGES), _FORMAT)


def _named(content: str, packages: tuple[str, ...], version: int) -> str:
    return sha256(f"{version} {content} {versions_of(packages)}".encode()).hexdigest()


def _files(source: Source) -> Iterator[Path]:
    """What a model is read from; a GGUF file may be one of several parts."""
    if source.gguf is not None:
        path = source.gguf.path
        part = _PART.search(path.name)
        if part is None:
            yield path
        else:
            yield from path.parent.glob(f"{path.name[: part.start()]}-*-of-{part[1]}.gguf")
        return
    yield from {file for pattern in _PATTERNS for file in source.folder.glob(pattern)}
