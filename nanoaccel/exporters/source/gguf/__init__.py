"""GGUF files: their metadata, the model and the tokenizer rebuilt from them."""

from nanoaccel.exporters.source.gguf.config import build_config
from nanoaccel.exporters.source.gguf.metadata import GGUFMetadata, read_metadata
from nanoaccel.exporters.source.gguf.tensors import load_gguf
from nanoaccel.exporters.source.gguf.tokenizer import GGUFTokenizer, build_tokenizer

__all__ = [
    "GGUFMetadata",
    "GGUFTokenizer",
    "build_config",
    "build_tokenizer",
    "load_gguf",
    "read_metadata",
]
