"""Packages with plugins, as they lie in site-packages."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from nanoaccel.registry import POINTS

Install = Callable[..., None]


def write_package(
    folder: Path,
    name: str,
    groups: Mapping[str, Mapping[str, str]],
    source: str = "",
    version: str = "1.0",
) -> Path:
    """Write an installed distribution into a folder for ``sys.path``, which child processes see.

    Args:
        folder: The folder.
        name: Of the distribution; its module has the same name with underscores.
        groups: Entry points by group, without "nanoaccel."; a target without a colon is an
            attribute of the module.
        source: The module.
        version: Of the distribution.
    """
    module = name.replace("-", "_")
    folder.mkdir(parents=True, exist_ok=True)
    info = folder / f"{module}-{version}.dist-info"
    info.mkdir()
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    (info / "METADATA").write_text(metadata)
    lines = []
    for group, points in groups.items():
        lines.append(f"[nanoaccel.{group}]")
        for point, target in points.items():
            lines.append(f"{point} = {target if ':' in target else f'{module}:{target}'}")
    (info / "entry_points.txt").write_text("\n".join(lines))
    (folder / f"{module}.py").write_text(source)
    return folder


@contextmanager
def installing(folder: Path) -> Iterator[Install]:
    """Gives what installs packages (name, groups, source) until the end of the block."""
    modules: set[str] = set()

    def install(name: str, groups: Mapping[str, Mapping[str, str]], source: str = "") -> None:
        modules.add(name.replace("-", "_"))
        patch.syspath_prepend(write_package(folder / name, name, groups, source))

    with pytest.MonkeyPatch.context() as patch:
        for point in POINTS:
            patch.setattr(point, "_failed", {})
        yield install
    for module in modules:
        sys.modules.pop(module, None)
