"""Options that several commands take, each written once: dataclasses of them."""

from nanoaccel.cli.options.engine import EngineOptions, ReplicaOptions
from nanoaccel.cli.options.reuse import ReuseOptions
from nanoaccel.cli.options.sampling import SamplingOptions
from nanoaccel.cli.options.speculation import SpeculationOptions

__all__ = [
    "EngineOptions",
    "ReplicaOptions",
    "ReuseOptions",
    "SamplingOptions",
    "SpeculationOptions",
]
