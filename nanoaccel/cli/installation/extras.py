"""What a command needs beside the core."""

from __future__ import annotations

from importlib.util import find_spec

from nanoaccel.errors import MissingExtraError


def need_packages(extra: str, *names: str) -> None:
    """Check that packages are installed.

    Args:
        extra: The extra that brings them.
        names: Their names for ``import``.

    Raises:
        MissingExtraError: One is not.
    """
    missing = [name for name in names if find_spec(name) is None]
    if missing:
        raise MissingExtraError(
            f"{' and '.join(missing)} not installed", f"pip install 'nanoaccel[{extra}]'"
        )
