"""The backends, and what each says of itself before its runtime is imported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from nanoaccel.registry.extension_point import ExtensionPoint
from nanoaccel.registry.plugin import find_plugins

_NONE: Mapping[str, str] = MappingProxyType({})
_FACTS = "backend_facts"


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendFacts:
    """What a backend says of itself, before its runtime is imported.

    Args:
        packages: Packages that it runs on: with another version of one, measured times are stale.
        graph: The file of its graph, relative to a bundle; None when it reads the bundle's first
            graph, whatever that was made for.
        tunes: Fields of ``EngineConfig`` that it obeys and others ignore.
        own_operators: Whether NanoAccel's own operators replace some of its runtime's.
    """

    packages: tuple[str, ...] = ()
    graph: str | None = None
    tunes: tuple[str, ...] = ()
    own_operators: bool = False


class BackendPoint(ExtensionPoint):
    """The backends, with what each says of itself.

    A plugin names its ``BackendFacts``, if they differ from the defaults, in a second group:

        [project.entry-points."nanoaccel.backend_facts.v1"]
        mine = "my_package.facts:FACTS"

    Args:
        facts: Name to facts, of those that are built in.
        arguments: As for ``ExtensionPoint``.
    """

    def __init__(self, *, facts: Mapping[str, BackendFacts], **arguments: Any) -> None:
        super().__init__("backends", **arguments)
        self._facts = facts

    def facts(self, name: str) -> BackendFacts:
        """What a backend says of itself; the defaults for one that says nothing."""
        if name in self._facts:
            return self._facts[name]
        for plugin in find_plugins(_FACTS):
            if plugin.name == name and plugin.interface == self.version:
                with self.guard(name):
                    facts = plugin.load()
                    if not isinstance(facts, BackendFacts):
                        raise TypeError(f"its facts are {facts!r:.80}, no BackendFacts")
                    return facts
        return BackendFacts()

    def with_graphs(self) -> dict[str, str]:
        """The built-in backends that bundles have graphs for, preferred first; each graph's file.

        The file is relative to the bundle.
        """
        graphs = {name: facts.graph for name, facts in self._facts.items()}
        return {name: graph for name, graph in graphs.items() if graph is not None}

    def packages(self) -> tuple[str, ...]:
        """The packages that one of these backends runs on."""
        return tuple(
            package for name in self.with_graphs() for package in self._facts[name].packages
        )
