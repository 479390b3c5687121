"""ONNX Runtime: a decoder graph over slots that past and present share."""

from nanoaccel.runtime.backends.onnxruntime.backend import OnnxRuntimeBackend, load

__all__ = ["OnnxRuntimeBackend", "load"]
