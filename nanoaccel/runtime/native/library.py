"""Finds the compiled operators, and says which instructions they use or why they are not used."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

LIBRARY = {"win32": "nanoaccel_operators.dll", "darwin": "libnanoaccel_operators.dylib"}.get(
    sys.platform, "libnanoaccel_operators.so"
)
ISA = "NANOACCEL_ISA"
NONE, REFERENCE = "none", "scalar"
_REASON = "not-built.txt"
_X86 = ("x86_64", "amd64")


@dataclass(frozen=True, slots=True)
class Operators:
    """The operators, as they are used here.

    Args:
        path: The instructions that they use, such as "avx512vnni"; None when the runtime's stock
            operators are used instead.
        library: The file; None with ``path``.
        version: Names the build, as the begin of the file's SHA-256; empty without one.
        reason: Why stock operators are used; empty when they are not.
        paths: All that this CPU runs, the fastest first.
    """

    path: str | None
    library: Path | None = None
    version: str = ""
    reason: str = ""
    paths: tuple[str, ...] = ()

    def described(self) -> str:
        """Both cases in a few words."""
        return f"stock: {self.reason}" if self.path is None else f"nanoaccel, {self.path}"


def find_operators(folder: Path = Path(__file__).parent) -> Operators:
    """Look for the library, and choose its path as the library does.

    ``NANOACCEL_ISA`` forces a path, or stock operators with "none".

    Args:
        folder: Where the library is.
    """
    forced = os.environ.get(ISA, "")
    if forced == NONE:
        return Operators(None, reason=f"{ISA}={NONE}")
    library = folder / LIBRARY
    if not library.is_file():
        return Operators(None, reason=_why_missing(folder))
    try:
        loaded = ctypes.CDLL(str(library))
    except OSError as error:
        return Operators(None, reason=f"{library.name} cannot be loaded: {error}")
    loaded.nanoaccel_paths.restype = ctypes.c_char_p
    paths = tuple(loaded.nanoaccel_paths().decode().split())
    version = sha256(library.read_bytes()).hexdigest()[:16]
    if forced:
        if forced in paths:
            return Operators(forced, library, version, paths=paths)
        reason = f"{ISA}={forced} does not run on this CPU, which runs {', '.join(paths)}"
        return Operators(None, reason=reason, paths=paths)
    if paths[0] == REFERENCE:
        missing = "AVX2" if platform.machine().lower() in _X86 else "dot products of bytes"
        return Operators(None, reason=f"this CPU has no {missing}", paths=paths)
    return Operators(paths[0], library, version, paths=paths)


def _why_missing(folder: Path) -> str:
    try:
        return (folder / _REASON).read_text(encoding="utf-8").strip()
    except OSError:
        return "they were not built when NanoAccel was installed"
