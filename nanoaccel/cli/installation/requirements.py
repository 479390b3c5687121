"""Whether installed packages fit together, from their own metadata."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path
from typing import TYPE_CHECKING

from nanoaccel.cli.installation.environment import installed_version
from nanoaccel.folders import check_writable
from nanoaccel.registry import BACKENDS

if TYPE_CHECKING:
    from packaging.requirements import Requirement

RUN = ("numpy", "tokenizers", "jinja2")
RUNTIMES = BACKENDS.packages()
EXPORT = (
    *("openvino", "torch", "transformers", "nncf", "openvino-tokenizers"),
    *("accelerate", "gguf", "psutil"),
)
EXPORT_ONNX = ("onnx", "onnx_ir", "onnxruntime", "ml_dtypes")
SERVER = ("starlette", "uvicorn", "llguidance")
_ONNX_PYTHON = (3, 11)


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is wrong.

    Args:
        what: The problem.
        remedy: What to do about it.
        blocks: "generate" or "export", when that cannot work; None when it may.
    """

    what: str
    remedy: str
    blocks: str | None


def find_problems(
    packages: Mapping[str, str | None], python: tuple[int, int] = sys.version_info[:2]
) -> list[Problem]:
    """What is missing or does not fit, most important first.

    Args:
        packages: Name to version; None when it is not installed.
        python: Its version; there is no fitting ONNX Runtime for those before 3.11.
    """
    problems = []

    def find(names: Sequence[str], effect: str, remedy: str, blocks: str | None) -> bool:
        missing = [name for name in names if packages.get(name) is None]
        if missing:
            what = f"{', '.join(missing)} not installed: {effect}"
            problems.append(Problem(what, remedy, blocks))
        return bool(missing)

    find(RUN, "nothing can be generated", "pip install nanoaccel", "generate")
    if all(packages.get(name) is None for name in RUNTIMES):
        other = ' or "nanoaccel[onnx]"' if python >= _ONNX_PYTHON else ""
        problems.append(
            Problem(
                f"neither {' nor '.join(RUNTIMES)} is installed: nothing can be generated",
                f'pip install "nanoaccel[openvino]"{other}',
                "generate",
            )
        )
    remedy = 'pip install "nanoaccel[export]"'
    other = ", or export on another machine"
    if (
        not find(EXPORT, "models cannot be exported here", remedy + other, "export")
        and python >= _ONNX_PYTHON
    ):
        find(EXPORT_ONNX, "models can be exported for OpenVINO only", remedy, None)
    find(SERVER, "bundles cannot be served here", 'pip install "nanoaccel[server]"', None)
    present = [name for name, version in packages.items() if version is not None]
    return [*problems, *_mismatches(present)]


def cache_problem(folder: Path) -> Problem | None:
    """Why nothing can be kept in the cache folder; None where it can."""
    try:
        check_writable(folder)
    except OSError as error:
        return Problem(
            f"nothing can be kept in the cache folder {folder}: {error.strerror}",
            "Set NANOACCEL_CACHE to a folder that can be written",
            None,
        )
    return None


def _mismatches(names: list[str]) -> Iterator[Problem]:
    """Installed packages whose version another installed package refuses."""
    seen = set()
    for name in names:
        for requirement in _requirements(name):
            found = installed_version(requirement.name)
            if found is None or requirement.specifier.contains(found, prereleases=True):
                continue
            wanted = f"{requirement.name}{requirement.specifier}"
            if (name, wanted) not in seen:
                seen.add((name, wanted))
                yield Problem(
                    f"{name} needs {wanted}, but {found} is installed",
                    f'pip install "{wanted}"',
                    None,
                )


def _requirements(name: str) -> Iterator[Requirement]:
    try:
        from packaging.requirements import Requirement

        lines = requires(name)
    except (ModuleNotFoundError, PackageNotFoundError):  # the extra "export" brings packaging
        return
    for line in () if lines is None else lines:
        requirement = Requirement(line)
        # Of NanoAccel's own extras these are the ones that must fit together.
        extras = ("", "openvino", "onnx", "export") if name == "nanoaccel" else ("",)
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in extras):
            yield requirement
