"""The graph runtimes, each behind the same small interface."""

from nanoaccel.runtime.backends.base import (
    Backend,
    BackendInfo,
    BackendOptions,
    CachePrecision,
    OperatorTime,
    OperatorTimer,
    OperatorWork,
    Precision,
    StateHolder,
)

__all__ = [
    "Backend",
    "BackendInfo",
    "BackendOptions",
    "CachePrecision",
    "OperatorTime",
    "OperatorTimer",
    "OperatorWork",
    "Precision",
    "StateHolder",
]
