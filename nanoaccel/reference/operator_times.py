"""What the modules of a model take, each without those inside it."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor

from nanoaccel.reference.network import Network
from nanoaccel.runtime.backends import OperatorTime


@dataclass(slots=True)
class _Total:
    """What a module took in a section."""

    seconds: float = 0.0
    calls: int = 0
    last_pass: int = -1


@dataclass(slots=True)
class _Running:
    """A module that runs, since when, and what those inside it have taken."""

    name: str
    begin: float
    inside: float = 0.0


class OperatorTimes:
    """Times by section, of modules that torch runs one by one.

    A layer that is compiled is one operator, beside its attention. What a module computes itself,
    between those inside it, is its own.

    Args:
        network: Network whose modules are timed from now on.
        compiled: Whether its layers are.

    Attributes:
        looked_up_bytes: As ``OperatorTimer``.
    """

    def __init__(self, network: Network, *, compiled: bool) -> None:
        self.looked_up_bytes = network.looked_up_bytes
        self._kinds: dict[str, str] = {}
        self._layers: dict[str, int | None] = {}
        self._sections: list[dict[str, _Total]] = []
        self._running: list[_Running] = []
        self._passes = 0
        layers = [layer.decoder for layer in network.layers]
        for name, module in network.model.named_modules():
            layer = _layer_of(name, layers)
            if compiled and layer is not None and name != layers[layer]:
                continue
            self._add(name, type(module).__name__, layer)
            module.register_forward_pre_hook(partial(self._begin, name))
            module.register_forward_hook(partial(self._end, name))
        self._attention = [f"{layer.name}.attention" for layer in network.layers]
        for index, name in enumerate(self._attention):
            self._add(name, "Attention", index)
        self._attend = network.attention.run
        network.attention.run = self._timed  # type: ignore[method-assign, assignment]

    def begin_section(self) -> None:
        """As ``OperatorTimer``."""
        self._sections.append({})

    def sections(self) -> list[list[OperatorTime]]:
        """As ``OperatorTimer.operator_times``."""
        return [
            [
                OperatorTime(
                    name, self._kinds[name], self._layers[name], total.seconds, total.calls
                )
                for name, total in section.items()
            ]
            for section in self._sections
            if section
        ]

    def _add(self, name: str, kind: str, layer: int | None) -> None:
        self._kinds[name], self._layers[name] = kind, layer

    def _begin(self, name: str, *_: Any) -> None:
        if not self._running:
            self._passes += 1
        if self._sections:
            self._sections[-1].setdefault(name, _Total())
        self._running.append(_Running(name, time.perf_counter()))

    def _end(self, name: str, *_: Any) -> None:
        ended = self._running.pop()
        assert ended.name == name, "modules end in reverse order"
        seconds = time.perf_counter() - ended.begin
        if self._running:
            self._running[-1].inside += seconds
        if self._sections:
            total = self._sections[-1][name]
            total.seconds += seconds - ended.inside
            total.calls += total.last_pass != self._passes
            total.last_pass = self._passes

    def _timed(self, layer: int, *arguments: Any) -> Tensor:
        name = self._attention[layer]
        self._begin(name)
        found = self._attend(layer, *arguments)
        self._end(name)
        return found


def _layer_of(name: str, layers: Iterable[str]) -> int | None:
    """The decoder layer that a module is, or is in."""
    found = (i for i, layer in enumerate(layers) if name == layer or name.startswith(f"{layer}."))
    return next(found, None)
