"""Writes GGUF files for llama.cpp: the way back of ``exporters.source.gguf``."""

from nanoaccel.exporters.convert.gguf.blocks import GGUF_TYPES, SAME
from nanoaccel.exporters.convert.gguf.write import GGUFContent, WrittenGGUF, write_gguf

__all__ = ["GGUF_TYPES", "SAME", "GGUFContent", "WrittenGGUF", "write_gguf"]
