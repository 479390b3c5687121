"""The targets that a bundle can be made for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Literal, TypeAlias, get_args

from nanoaccel.errors import ConfigError
from nanoaccel.exporters.targets.base import GraphTarget
from nanoaccel.exporters.targets.onnx.target import OnnxTarget
from nanoaccel.exporters.targets.openvino.target import OpenVINOTarget
from nanoaccel.registry import RUNTIME_CHOOSERS, did_you_mean

Runtime: TypeAlias = Literal["openvino", "onnx", "both", "auto"]

# The first one compresses the weights; the others take them over.
TARGETS: Mapping[str, GraphTarget] = MappingProxyType(
    {target.name: target for target in (OpenVINOTarget(), OnnxTarget())}
)
BASE = next(iter(TARGETS.values()))


def target_names(runtime: str) -> tuple[str, ...]:
    """Names of the targets that a choice stands for, the preferred one first.

    Args:
        runtime: "openvino", "onnx", "both", or "auto", which exports for both and keeps what is
            faster.

    Raises:
        ConfigError: It is none of these.
    """
    known = get_args(Runtime)
    if runtime not in known:
        raise ConfigError(f"runtime={runtime!r} is unknown", did_you_mean(runtime, list(known)))
    return tuple(TARGETS) if runtime in ("both", "auto") else (runtime,)


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


def faster_targets(folder: Path, names: Sequence[str], context: int) -> tuple[str, ...]:
    """Which targets to keep: those that are the fastest at something, measured here.

    Args:
        folder: Folder of the bundle in the making, with a graph for each.
        names: Names of the targets.
        context: Tokens that the model can attend to.

    Returns:
        Their names, the best for a single request first.
    """
    choose = RUNTIME_CHOOSERS.resolve("measured")
    return tuple(choose({name: folder / TARGETS[name].graph for name in names}, context))
