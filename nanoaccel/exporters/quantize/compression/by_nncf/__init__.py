"""What NNCF makes of weights."""

from nanoaccel.exporters.quantize.compression.by_nncf.compress import UNREAD, compress_by_nncf

__all__ = ["UNREAD", "compress_by_nncf"]
