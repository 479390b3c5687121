"""The packages that an export needs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.util import find_spec

from nanoaccel.errors import MissingExtraError

OLDEST_PYTHON = (3, 11)
NEEDED = (
    "torch",
    "transformers",
    "nncf",
    "openvino",
    "openvino_tokenizers",
    "accelerate",
    "gguf",
    "psutil",
)


def check_installed(more: Sequence[str]) -> None:
    """Refuse an export where a package is missing.

    Args:
        more: Modules that the targets need, beside those that every export needs.

    Raises:
        MissingExtraError: It is; the message names it.
    """
    missing = missing_modules([*NEEDED, *more])
    if missing:
        raise MissingExtraError(
            f"export needs {', '.join(missing)}", remedy_for(sys.version_info[:2])
        )


def remedy_for(python: tuple[int, int]) -> str:
    """Where the packages are to be had: transformers has left older versions of Python."""
    if python < OLDEST_PYTHON:
        wanted = ".".join(map(str, OLDEST_PYTHON))
        return f"Export with Python {wanted} or newer; bundles run with this one"
    return 'Install them: pip install "nanoaccel[export]"'


def missing_modules(names: Sequence[str]) -> list[str]:
    """Those of some modules that are not installed."""
    return [name for name in names if not _is_installed(name)]


def _is_installed(module: str) -> bool:
    parent = module.partition(".")[0]
    return find_spec(parent) is not None and find_spec(module) is not None
