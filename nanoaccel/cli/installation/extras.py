"""What a command needs beside the core."""

from __future__ import annotations

from importlib.util import find_spec

from nanoaccel.errors import MissingExtraError


def need_packages(command: str, extra: str, *names: str) -> None:
    """Check that packages are installed.

    Args:
        command: What needs them, as the user wrote it.
        extra: The extra that brings them.
        names: Their names for ``import``.

    Raises:
        MissingExtraError: One is not.
    """
    missing = [name for name in names if find_spec(name) is None]
    if missing:
        verb, it = ("is", "it") if len(missing) == 1 else ("are", "them")
        raise MissingExtraError(
            f"{command} needs {' and '.join(missing)}, which {verb} not installed",
            f'Install {it}: pip install "nanoaccel[{extra}]"',
        )
