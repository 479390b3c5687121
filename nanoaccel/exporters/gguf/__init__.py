"""GGUF files: their metadata, and the tokenizer rebuilt from it."""

from nanoaccel.exporters.gguf.metadata import GGUFMetadata, read_metadata
from nanoaccel.exporters.gguf.tokenizer import GGUFTokenizer, build_tokenizer

__all__ = ["GGUFMetadata", "GGUFTokenizer", "build_tokenizer", "read_metadata"]
