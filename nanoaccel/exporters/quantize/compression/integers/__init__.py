"""Integers of 4 and 8 bits, chosen without NNCF."""

from nanoaccel.exporters.quantize.compression.integers.round import round_layers

__all__ = ["round_layers"]
