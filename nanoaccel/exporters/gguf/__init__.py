"""GGUF files: their metadata, the model and the tokenizer rebuilt from them."""

from nanoaccel.exporters.gguf.config import build_config
from nanoaccel.exporters.gguf.metadata import GGUFMetadata, read_metadata
from nanoaccel.exporters.gguf.tensors import load_gguf
from nanoaccel.exporters.gguf.tokenizer import GGUFTokenizer, build_tokenizer

__all__ = [
    "GGUFMetadata",
    "GGUFTokenizer",
    "build_config",
    "build_tokenizer",
    "load_gguf",
    "read_metadata",
]
