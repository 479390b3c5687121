"""What NNCF makes of weights."""

from nanoaccel.exporters.quantize.compression.by_nncf.compress import compress_all

__all__ = ["compress_all"]
