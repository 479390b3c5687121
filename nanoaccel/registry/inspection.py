"""What is installed for each extension point, tried out."""

from __future__ import annotations

import time
from dataclasses import dataclass

from nanoaccel.errors import PluginError
from nanoaccel.registry.plugin import Plugin, all_plugins
from nanoaccel.registry.points import POINTS


@dataclass(frozen=True, slots=True)
class Inspected:
    """A plugin, and whether it can be used.

    Args:
        kind: Kind of extension point.
        name: Name that users write.
        package: Distribution that brings it, with its version.
        interface: Version of the interface that it was written for; None when it names none.
        capabilities: What it can do beside what it must.
        seconds: What its import took; None when it was not imported.
        problem: Why it is not used; None when it is.
    """

    kind: str
    name: str
    package: str
    interface: int | None
    capabilities: tuple[str, ...] = ()
    seconds: float | None = None
    problem: str | None = None


def inspect_plugins() -> list[Inspected]:
    """All that packages offer; those that may be used are imported.

    Raises:
        ConfigError: A nanoaccel.toml cannot be read.
    """
    return [_inspect(plugin) for plugin in all_plugins()]


def _inspect(plugin: Plugin) -> Inspected:
    described = (plugin.kind, plugin.name, plugin.package, plugin.interface)
    # Facts belong to a backend, and are read with it.
    point = next((p for p in POINTS if p.kind == plugin.kind), None)
    if point is None:
        kinds = ", ".join(p.kind for p in POINTS)
        known = plugin.kind == "backend_facts"
        return Inspected(*described, problem=None if known else f"there are only {kinds}")
    refusal = point.refusal(plugin)
    if refusal is not None:
        return Inspected(*described, problem=refusal)
    begin = time.perf_counter()
    try:
        found = point.resolve(plugin.name)
    except PluginError as error:
        seconds = time.perf_counter() - begin
        return Inspected(*described, seconds=seconds, problem=error.problem)
    able = tuple(name for name in point.capabilities if hasattr(found, name))
    return Inspected(*described, able, time.perf_counter() - begin)
