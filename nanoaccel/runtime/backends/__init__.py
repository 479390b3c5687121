"""The graph runtimes, each behind the same small interface."""

from nanoaccel.runtime.backends.base import (
    AdapterHolder,
    Backend,
    BackendInfo,
    BackendLoader,
    BackendOptions,
    CachePrecision,
    OperatorTime,
    OperatorTimer,
    OperatorWork,
    Precision,
    StateHolder,
)

__all__ = [
    "AdapterHolder",
    "Backend",
    "BackendInfo",
    "BackendLoader",
    "BackendOptions",
    "CachePrecision",
    "OperatorTime",
    "OperatorTimer",
    "OperatorWork",
    "Precision",
    "StateHolder",
]
