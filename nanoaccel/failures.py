"""The last failures of commands and servers, kept for bug reports: no prompts, no values.

A message is kept only as far as its words stand in our own sources; the rest is "…". Messages of
other libraries are not kept.
"""

from __future__ import annotations

import ast
import json
import os
import platform
import re
import traceback
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timezone
from functools import lru_cache
from pathlib import Path
from typing import Any

from nanoaccel.cached_json import load_or_none, versions_of, write_json
from nanoaccel.errors import NanoAccelError
from nanoaccel.folders import cache_folder

KEPT = 20
_CAUSES = 3
_HERE = Path(__file__).parent
_QUOTED = re.compile(r"""(?<!\w)(['"]).*?\1(?!\w)|(?<!\w)['"].*""", re.DOTALL)
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")  # noqa: RUF001 - as prose has it
_GAP = re.compile(r"…(?:[^\w.,:;()]*…)+")


def failures_file() -> Path:
    """Where they are kept."""
    return cache_folder() / "failures.json"


def last_failures() -> list[dict[str, Any]]:
    """Those that are kept, the latest last."""
    return load_or_none(failures_file(), _checked) or []


def keep_failure(error: BaseException, command: str) -> None:
    """Add one to those that are kept; where that is not possible, nothing is.

    Args:
        error: What was raised, with its traceback.
        command: The command or program that failed, without its arguments.
    """
    with suppress(Exception):  # one failure is enough
        entry = {
            "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "versions": versions_of(("nanoaccel",)),
            "python": platform.python_version(),
            "command": command,
            **describe(error),
        }
        write_json(failures_file(), [*last_failures(), entry][-KEPT:])


def describe(error: BaseException) -> dict[str, Any]:
    """An error's class, the words of its message that are ours, and its frames in our code."""
    described = _described(error)
    causes: list[dict[str, Any]] = []
    cause = error.__cause__ or error.__context__
    while cause is not None and len(causes) < _CAUSES:
        causes.append(_described(cause))
        cause = cause.__cause__ or cause.__context__
    return {**described, "causes": causes}


def _described(error: BaseException) -> dict[str, Any]:
    frames = traceback.extract_tb(error.__traceback__)
    ours = [(Path(frame.filename), frame) for frame in frames]
    return {
        "class": f"{type(error).__module__}.{type(error).__qualname__}",
        "message": _message(error, {path for path, _ in ours if _HERE in path.parents}),
        "frames": [
            f"{path.relative_to(_HERE).as_posix()}:{frame.lineno} in {frame.name}"
            for path, frame in ours
            if _HERE in path.parents
        ],
    }


def _message(error: BaseException, files: set[Path]) -> str:
    if isinstance(error, OSError) and error.errno is not None:
        return os.strerror(error.errno)
    if not isinstance(error, NanoAccelError):
        return ""
    known = {word for file in files for word in _words_of(file)}
    text = _QUOTED.sub("…", str(error))
    words = _WORD.sub(lambda match: match[0] if match[0].lower() in known else "…", text)
    numbers = re.sub(r"\d{6,}", "…", words)  # not the size of anything: a key, or a number to dial
    return _GAP.sub("…", numbers)


@lru_cache(maxsize=256)
def _words_of(file: Path) -> frozenset[str]:
    """Words in the strings of a source file of ours, in lower case."""
    try:
        tree = ast.parse(file.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, UnicodeDecodeError):  # an installation without sources
        return frozenset()
    return frozenset(word.lower() for text in _strings(tree) for word in _WORD.findall(text))


def _strings(tree: ast.Module) -> Iterator[str]:
    described = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        text = node.value if isinstance(node, ast.Constant) else None
        if isinstance(text, str) and id(node) not in described:  # docstrings have too many words
            yield text


def _checked(found: Any) -> list[dict[str, Any]]:
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise ValueError("it is no list")
    json.dumps(found)
    return found
