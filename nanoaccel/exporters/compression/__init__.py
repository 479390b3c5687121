"""Makes the weights of a graph smaller."""

from nanoaccel.exporters.compression.weights import WeightStatistics, compress, weight_statistics

__all__ = ["WeightStatistics", "compress", "weight_statistics"]
