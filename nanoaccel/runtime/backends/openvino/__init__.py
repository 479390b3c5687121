"""OpenVINO: the graph in paged form, its cache bound once; or with sequences in slots."""

from nanoaccel.runtime.backends.openvino.backend import OpenVINOBackend
from nanoaccel.runtime.backends.openvino.loading import load
from nanoaccel.runtime.backends.openvino.slot_backend import OpenVINOSlotBackend

__all__ = ["OpenVINOBackend", "OpenVINOSlotBackend", "load"]
