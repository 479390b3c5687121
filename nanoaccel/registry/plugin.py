"""Plugins that packages offer through entry points, found without importing them."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import EntryPoint
from typing import Any

_GROUP = re.compile(r"nanoaccel\.([a-z_]+?)(?:\.v([0-9]{1,4}))?")


@dataclass(frozen=True, slots=True)
class Plugin:
    """What a package offers for an extension point.

    Args:
        kind: Kind of extension point, as "drafters".
        name: Name that users write.
        interface: Version of the interface that it was written for; None when its group names none.
        package: Distribution that brings it, and its version, as "my-package 1.0".
        entry_point: What it is.
    """

    kind: str
    name: str
    interface: int | None
    package: str
    entry_point: EntryPoint

    @property
    def names(self) -> tuple[str, str, str]:
        """What it may be called where it is disabled: its name, kind and name, its package."""
        return self.name, f"{self.kind}/{self.name}", self.package.partition(" ")[0]

    def load(self) -> Any:
        """Import it.

        Raises:
            Exception: Whatever its module raises.
        """
        return self.entry_point.load()


def find_plugins(kind: str) -> tuple[Plugin, ...]:
    """Installed plugins of a kind, of all versions of its interface, in the order of packages."""
    return _scan(tuple(sys.path)).get(kind, ())


def all_plugins() -> list[Plugin]:
    """Installed plugins of all kinds, known or not, by kind."""
    return [plugin for _, plugins in sorted(_scan(tuple(sys.path)).items()) for plugin in plugins]


@lru_cache(maxsize=2)
def _scan(path: tuple[str, ...]) -> dict[str, tuple[Plugin, ...]]:
    """All of them by kind.

    Reading the metadata of all packages takes tens of milliseconds, so only those are parsed that
    name us.
    """
    from importlib.metadata import distributions

    found: dict[str, list[Plugin]] = {}
    seen: set[str] = set()
    for dist in distributions(path=list(path)):
        text = dist.read_text("entry_points.txt")
        if text is None or "nanoaccel." not in text:
            continue
        name = dist.metadata["Name"]
        if name in seen:  # further down the path, hidden by the first
            continue
        seen.add(name)
        for point in dist.entry_points:
            named = _GROUP.fullmatch(point.group)
            if named is not None:
                kind, version = named.groups()
                interface = None if version is None else int(version)
                plugin = Plugin(kind, point.name, interface, f"{name} {dist.version}", point)
                found.setdefault(kind, []).append(plugin)
    return {
        kind: tuple(sorted(plugins, key=lambda plugin: (plugin.package, plugin.name)))
        for kind, plugins in found.items()
    }
