"""The graph runtimes, each behind the same small interface."""

from nanoaccel.runtime.backends.base import (
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
