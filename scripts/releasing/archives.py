"""What a wheel and a source distribution may hold."""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path

from .refused import RefusedError

_ENDINGS = {
    "linux": ".so",
    "manylinux": ".so",
    "musllinux": ".so",
    "macosx": ".dylib",
    "win": ".dll",
}
_INFORMATION = {"METADATA", "RECORD", "WHEEL", "entry_points.txt"}
_NEEDED = ("LICENSE", "README.md", "native/build.py", "nanoaccel/__init__.py", "pyproject.toml")


def check_wheel(wheel: Path) -> None:
    """Refuse a wheel with foreign files, no licence, or a library of another platform."""
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/")]
    problems = wheel_problems(names, wheel.name)
    if problems:
        raise RefusedError(f"{wheel.name} {problems[0]}: see [tool.hatch] in pyproject.toml")


def wheel_problems(names: list[str], wheel: str) -> list[str]:
    """What is wrong with a wheel of some files.

    Args:
        names: Paths in the wheel.
        wheel: The name of its file, which ends in its platform.
    """
    found = []
    information = [name.partition(".dist-info/")[2] for name in names if ".dist-info/" in name]
    code = [name for name in names if ".dist-info/" not in name]
    for name in code:
        if not name.startswith("nanoaccel/") or name.endswith(".pyc") or "/tests/" in name:
            found.append(f"holds {name}")
    found += [
        f"holds {name} beside its metadata"
        for name in information
        if name not in _INFORMATION and not name.startswith(("licenses/", "sboms/"))
    ]
    if "licenses/LICENSE" not in information:
        found.append("has no licence")
    platform = wheel.removesuffix(".whl").rpartition("-")[2]
    ending = next((end for start, end in _ENDINGS.items() if platform.startswith(start)), None)
    libraries = [name for name in code if Path(name).suffix in {*_ENDINGS.values(), ".pyd"}]
    for name in libraries:
        if Path(name).suffix != ending:
            found.append(f"is for {platform}, and holds {name}")
    if ending is not None and not libraries:
        found.append(f"is for {platform}, and holds no library")
    return found


def check_sdist(sdist: Path) -> None:
    """Refuse a source distribution that does not build, or holds what git does not."""
    with tarfile.open(sdist) as archive:
        names = {member.name.partition("/")[2] for member in archive if member.isfile()}
    missing = [name for name in _NEEDED if name not in names]
    if missing:
        raise RefusedError(f"{sdist.name} lacks {missing[0]}: see [tool.hatch] in pyproject.toml")
    built = [name for name in names if Path(name).suffix in {*_ENDINGS.values(), ".pyd", ".pyc"}]
    if built:
        raise RefusedError(f"{sdist.name} holds {built[0]}: delete it")
