"""The targets that a bundle can be made for."""

from __future__ import annotations

from collections.abc import Iterable

from nanoaccel.errors import ConfigError
from nanoaccel.exporters.targets.base import GraphTarget
from nanoaccel.exporters.targets.plugged import guarded
from nanoaccel.registry import EXPORT_TARGETS, did_you_mean

_CHOICES = {"both": ("openvino", "onnx"), "auto": ("onnx",)}
BUILT_IN = _CHOICES["both"]
# It compresses the weights; the other one takes them over.
BASE: GraphTarget = EXPORT_TARGETS.make(BUILT_IN[0])
# Runs fastest, with NanoAccel's own operators.
DEFAULT = _CHOICES["auto"][0]


def target_of(name: str) -> GraphTarget:
    """A target by its name; errors of a plugin's name it.

    Raises:
        ConfigError: There is no such target.
        PluginError: It is a plugin that cannot be used.
    """
    made: GraphTarget = EXPORT_TARGETS.make(name)
    return guarded(name, made) if EXPORT_TARGETS.is_plugin(name) else made


def target_names(runtime: str) -> tuple[str, ...]:
    """Names of the targets that a choice stands for, the preferred one first.

    Args:
        runtime: "openvino", "onnx", "both", the name of a plugin, or "auto": the default one.

    Raises:
        ConfigError: It is none of these.
        PluginError: It is a plugin that cannot be used.
    """
    if runtime in _CHOICES:
        return _CHOICES[runtime]
    known = [*BUILT_IN, *_CHOICES, *(n for n in EXPORT_TARGETS.names() if n not in BUILT_IN)]
    if runtime not in known and not EXPORT_TARGETS.plugins_named(runtime):
        raise ConfigError(f"runtime={runtime!r} is unknown", did_you_mean(runtime, known))
    return (target_of(runtime).name,)


def with_sources(names: Iterable[str]) -> list[GraphTarget]:
    """Targets in the order in which they are made; the first one is always made.

    Args:
        names: Names of the targets that were asked for.
    """
    asked = [target_of(name) for name in names]
    chosen = {BASE.name, *(one.name for one in asked)} | {one.source for one in asked if one.source}
    plugged = [one for one in asked if EXPORT_TARGETS.is_plugin(one.name)]
    return [*(target_of(name) for name in BUILT_IN if name in chosen), *plugged]


def beside_base(names: Iterable[str]) -> list[GraphTarget]:
    """Those of some targets that are made beside the first one."""
    return with_sources(names)[1:]


def packages_of(names: Iterable[str]) -> list[str]:
    """Modules that some targets need, beside those that every export needs."""
    return [package for target in with_sources(names) for package in target.packages]


def derived(names: Iterable[str]) -> list[GraphTarget]:
    """Those of some targets that take over the weights of another one."""
    return [target for target in with_sources(names) if target.source is not None]
