"""The packages that an export needs."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

from nanoaccel.errors import MissingExtraError

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
            f"export needs {', '.join(missing)}", 'Install them: pip install "nanoaccel[export]"'
        )


def missing_modules(names: Sequence[str]) -> list[str]:
    """Those of some modules that are not installed."""
    return [name for name in names if not _is_installed(name)]


def _is_installed(module: str) -> bool:
    parent = module.partition(".")[0]
    return find_spec(parent) is not None and find_spec(module) is not None
