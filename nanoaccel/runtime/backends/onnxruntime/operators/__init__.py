"""Puts NanoAccel's own operators into a graph of stock ones, when it is loaded."""

from nanoaccel.runtime.backends.onnxruntime.operators.rewrite import Rewritten, rewrite

__all__ = ["Rewritten", "rewrite"]
