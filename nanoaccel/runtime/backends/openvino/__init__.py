"""OpenVINO: the graph in paged form, its cache bound once."""

from nanoaccel.runtime.backends.openvino.backend import OpenVINOBackend, load

__all__ = ["OpenVINOBackend", "load"]
