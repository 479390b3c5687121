"""The targets that a bundle can be made for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Literal, TypeAlias, get_args

from nanoaccel.errors import ConfigError
from nanoaccel.exporters.targets.base import GraphTarget
from nanoaccel.exporters.targets.onnx.target import OnnxTarget
from nanoaccel.exporters.targets.openvino.target import OpenVINOTarget
from nanoaccel.registry import did_you_mean

Runtime: TypeAlias = Literal["openvino", "onnx", "both", "auto"]

# The first one compresses the weights; the others take them over.
TARGETS: Mapping[str, GraphTarget] = MappingProxyType(
    {target.name: target for target in (OpenVINOTarget(), OnnxTarget())}
)
BASE = next(iter(TARGETS.values()))
# Runs fastest, with NanoAccel's own operators.
DEFAULT = OnnxTarget.name


def target_names(runtime: str) -> tuple[str, ...]:
    """Names of the targets that a choice stands for, the preferred one first.

    Args:
        runtime: "openvino", "onnx", "both", or "auto": the default one.

    Raises:
        ConfigError: It is none of these.
    """
    known = get_args(Runtime)
    if runtime not in known:
        raise ConfigError(f"runtime={runtime!r} is unknown", did_you_mean(runtime, list(known)))
    return {"both": tuple(TARGETS), "auto": (DEFAULT,)}.get(runtime, (runtime,))


def with_sources(names: Iterable[str]) -> list[GraphTarget]:
    """Targets in the order in which they are made; the first one is always made.

    Args:
        names: Names of the targets that were asked for.
    """
    chosen = {BASE.name, *names}
    return [target for name, target in TARGETS.items() if name in chosen]


def packages_of(names: Iterable[str]) -> list[str]:
    """Modules that some targets need, beside those that every export needs."""
    return [package for target in with_sources(names) for package in target.packages]


def derived(names: Iterable[str]) -> list[GraphTarget]:
    """Those of some targets that take over the weights of another one."""
    return [target for target in with_sources(names) if target.source is not None]
