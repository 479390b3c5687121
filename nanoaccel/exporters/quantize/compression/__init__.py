"""Makes the weights of a graph smaller."""

from nanoaccel.exporters.quantize.compression.calibration import Calibration
from nanoaccel.exporters.quantize.compression.compress import compress
from nanoaccel.exporters.quantize.compression.layers import Layer, find_layers, group_of, storage_of
from nanoaccel.exporters.quantize.compression.statistics import WeightStatistics, weight_statistics

__all__ = [
    "Calibration",
    "Layer",
    "WeightStatistics",
    "compress",
    "find_layers",
    "group_of",
    "storage_of",
    "weight_statistics",
]
