"""Targets of plugins, so that what goes wrong in one names it."""

from __future__ import annotations

from functools import wraps
from typing import Any, cast

from nanoaccel.exporters.targets.base import GraphTarget, TargetGraph
from nanoaccel.exporters.targets.judgement import Judgement
from nanoaccel.registry import EXPORT_TARGETS

_GIVES: dict[str, type | tuple[type, ...]] = {
    "build": TargetGraph,
    "judge": Judgement,
    "disk_bytes": (int, float),
    "finish": bool,
}


def guarded(name: str, target: GraphTarget) -> GraphTarget:
    """A target of a plugin whose calls are checked, and whose errors name it.

    Args:
        name: Name that it is registered under.
        target: The target.

    Raises:
        PluginError: It has another name, or takes weights from what is not built in.
    """
    with EXPORT_TARGETS.named(name):
        if target.name != name:
            raise ValueError(f"it calls itself {target.name!r}")
        if target.source is not None and EXPORT_TARGETS.is_plugin(target.source):
            raise ValueError(f"it takes weights from {target.source!r}, and not from a built-in")
    return cast(GraphTarget, _Guarded(name, target))


class _Guarded:
    def __init__(self, name: str, target: GraphTarget) -> None:
        self._name = name
        self._target = target

    def __getattr__(self, attribute: str) -> Any:
        found = getattr(self._target, attribute)
        return self._checked(attribute, found) if callable(found) else found

    def _checked(self, attribute: str, method: Any) -> Any:
        @wraps(method)
        def call(*arguments: Any, **options: Any) -> Any:
            with EXPORT_TARGETS.named(self._name):
                given = method(*arguments, **options)
                wanted = _GIVES.get(attribute)
                if wanted is not None and not isinstance(given, wanted):
                    raise TypeError(f"its {attribute} gave {given!r:.80}")
                if isinstance(given, TargetGraph):
                    _check_graph(self._name, given)
                return given

        return call


def _check_graph(name: str, graph: TargetGraph) -> None:
    if graph.target != name:
        raise ValueError(f"its graph says that it is for {graph.target!r}")
    if not graph.path.is_file():
        raise FileNotFoundError(f"it wrote no graph {graph.path.name}")
