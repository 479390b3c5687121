"""Named extension points: what can be replaced or added, by the project itself and by plugins.

A name stands for ``"module:attribute"``, imported when it is first used. A package adds names
through an entry point in the group of the extension point:

    [project.entry-points."nanoaccel.backends"]
    mine = "my_package.backend:load"
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import Any

from nanoaccel.errors import ConfigError, MissingExtraError

_NONE: Mapping[str, str] = MappingProxyType({})


class ExtensionPoint:
    """A set of named implementations of one interface.

    Args:
        group: Entry-point group that plugins use.
        builtin: Name to "module:attribute".
        extras: The extra that brings what a name needs, where it has another name.
    """

    def __init__(
        self, group: str, builtin: Mapping[str, str], extras: Mapping[str, str] = _NONE
    ) -> None:
        self.group = group
        self._builtin = dict(builtin)
        self._extras = extras

    def add(self, name: str, target: str) -> None:
        """Let a name stand for ``"module:attribute"`` in this process, without a package."""
        self._builtin[name] = target

    def names(self) -> list[str]:
        """All names, built-in and plugged in."""
        from importlib.metadata import entry_points

        return sorted({*self._builtin, *(point.name for point in entry_points(group=self.group))})

    def resolve(self, name: str) -> Any:
        """Import what a name stands for.

        Raises:
            ConfigError: Nobody offers that name.
            MissingExtraError: What it needs is not installed.
        """
        try:
            if name in self._builtin:
                module, attribute = self._builtin[name].split(":")
                return getattr(import_module(module), attribute)
            from importlib.metadata import entry_points

            for point in entry_points(group=self.group, name=name):
                return point.load()
        except ModuleNotFoundError as error:
            raise MissingExtraError(
                f"{name} needs {error.name}, which is not installed",
                f'Install it: pip install "nanoaccel[{self._extras.get(name, name)}]"',
            ) from error
        raise ConfigError(f"{self.group} has no {name!r}", did_you_mean(name, self.names()))

    def installed(self, names: Sequence[str]) -> list[str]:
        """Those of some names that can be used here, in the same order.

        Args:
            names: One or more.

        Raises:
            ConfigError: Nobody offers one of them.
            MissingExtraError: What the first one needs is not installed, nor that of any other.
        """
        found: list[str] = []
        for name in names:
            with suppress(MissingExtraError):
                self.resolve(name)
                found.append(name)
        if not found:
            self.resolve(names[0])
        return found

    def first_installed(self, names: Sequence[str]) -> str:
        """The first of some names that can be used here; those behind it are not even imported.

        Args:
            names: One or more.

        Raises:
            NanoAccelError: As ``installed``.
        """
        for name in names:
            with suppress(MissingExtraError):
                self.resolve(name)
                return name
        self.resolve(names[0])
        raise AssertionError("it is not installed")


def did_you_mean(name: str, known: list[str]) -> str:
    """A remedy for an unknown name: the closest known one, or all."""
    import difflib

    close = difflib.get_close_matches(name, known, n=1)
    return f"Did you mean {close[0]!r}?" if close else f"Choose one of {', '.join(known)}"


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

        [project.entry-points."nanoaccel.backend_facts"]
        mine = "my_package.facts:FACTS"

    Args:
        builtin: Name to "module:attribute".
        facts: Name to facts.
        extras: As for ``ExtensionPoint``.
    """

    def __init__(
        self,
        builtin: Mapping[str, str],
        facts: Mapping[str, BackendFacts],
        extras: Mapping[str, str] = _NONE,
    ) -> None:
        super().__init__("nanoaccel.backends", builtin, extras)
        self._facts = facts

    def facts(self, name: str) -> BackendFacts:
        """What a backend says of itself; the defaults for one that says nothing."""
        if name in self._facts:
            return self._facts[name]
        from importlib.metadata import entry_points

        for point in entry_points(group="nanoaccel.backend_facts", name=name):
            facts: BackendFacts = point.load()
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


BACKENDS = BackendPoint(
    {
        "openvino": "nanoaccel.runtime.backends.openvino:load",
        "onnx": "nanoaccel.runtime.backends.onnxruntime:load",
        "torch": "nanoaccel.reference.torch_backend:load",
        "torch-inductor": "nanoaccel.reference.torch_backend:load_inductor",
        "torch-openvino": "nanoaccel.reference.torch_backend:load_openvino",
    },
    {
        "openvino": BackendFacts(
            packages=("openvino",),
            graph="openvino/openvino_model.xml",
            tunes=("quantization_group", "fuse_projections"),
        ),
        "onnx": BackendFacts(
            packages=("onnxruntime",), graph="onnx/model.onnx", own_operators=True
        ),
        "torch": BackendFacts(packages=("torch", "transformers")),
        "torch-inductor": BackendFacts(packages=("torch", "transformers")),
        "torch-openvino": BackendFacts(packages=("torch", "transformers", "openvino")),
    },
    dict.fromkeys(("torch", "torch-inductor", "torch-openvino"), "export"),
)

ENGINE_CHECKS = ExtensionPoint(
    "nanoaccel.engine_checks", {"engine": "nanoaccel.evaluation.self_check:ask_engine"}
)

# Gives an ``Operators``: where the compiled operators are, or why they are not used.
OPERATORS = ExtensionPoint(
    "nanoaccel.operators", {"native": "nanoaccel.runtime.native:find_operators"}
)

EVICTION_POLICIES = ExtensionPoint(
    "nanoaccel.eviction_policies",
    {
        "lru": "nanoaccel.runtime.kv.eviction:LeastRecentlyUsed",
        "lfu": "nanoaccel.runtime.kv.eviction:LeastFrequentlyUsed",
        "cost": "nanoaccel.runtime.kv.eviction:CheapestToCompute",
    },
)

DRAFTERS = ExtensionPoint(
    "nanoaccel.drafters",
    {
        "ngram": "nanoaccel.runtime.speculation.drafters.ngram:NgramDrafter",
        "head": "nanoaccel.runtime.speculation.drafters.head:HeadDrafter",
        "draft_model": "nanoaccel.runtime.speculation.drafters.draft_model:ModelDrafter",
    },
)
