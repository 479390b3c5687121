"""Removes a bundle, or what was pulled: its own files, and nothing that only lies there."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from nanoaccel.bundle.folder import Bundle
from nanoaccel.bundle.in_use import is_held
from nanoaccel.bundle.known import forget
from nanoaccel.bundle.listing import folder_size
from nanoaccel.bundle.manifest import MANIFEST
from nanoaccel.errors import BundleError
from nanoaccel.pulled import Pulled, all_pulled, find_pulled, forget_pulled

# Files of folders that do not list their own.
_USUAL = (
    *(".json", ".jinja", ".xml", ".bin", ".onnx", ".data", ".md", ".svg", ".txt", ".model"),
    *(".safetensors", ".gguf", ".tiktoken"),
)


def find_removable(name: str) -> tuple[Path, int]:
    """The folder that a name stands for, and its bytes, if it may be removed.

    Args:
        name: A folder, or the name of what was pulled.

    Raises:
        BundleError: It is no bundle, a link, in use, or holds files that are no part of it.
    """
    folder = Path(name).expanduser()
    known = find_pulled(name) if not folder.exists() else None
    folder = folder if known is None else known.folder
    if folder.is_symlink():
        raise BundleError(f"{folder} is a link to {folder.resolve()}", "Name that folder")
    if not folder.is_dir():
        raise BundleError(f"{folder} is not a folder", "nanoaccel list shows what there is")
    folder = folder.resolve()
    pulled = next((one for one in all_pulled() if one.folder.resolve() == folder), None)
    if not Bundle.is_one(folder) and pulled is None:
        raise BundleError(
            f"{folder} is no bundle, and was not pulled", "Remove it yourself, if you mean it"
        )
    if (folder.parent / MANIFEST).is_file():
        raise BundleError(
            f"{folder} is a part of the bundle {folder.parent}", "Remove that, or make another one"
        )
    if is_held(folder):
        raise BundleError(
            f"{folder} is in use: a process has it open", "End what serves or runs it first"
        )
    foreign = _foreign(folder, pulled)
    if foreign is not None:
        raise BundleError(
            f"{folder} holds {foreign}, which is no part of it", "Move that elsewhere first"
        )
    return folder, folder_size(folder)


def remove(folder: Path) -> None:
    """Remove a folder that ``find_removable`` gave; links in it are removed, not followed.

    Raises:
        BundleError: It cannot be removed; it is as it was, or gone from its place.
    """
    doomed = folder.with_name(f".{folder.name}.removed-{os.getpid()}")
    try:
        folder.rename(doomed)
        shutil.rmtree(doomed)
    except OSError as error:
        raise BundleError(
            f"{error.filename} cannot be removed: {error.strerror}", "See who may write there"
        ) from error
    forget(folder)
    forget_pulled(folder)


def _foreign(folder: Path, pulled: Pulled | None) -> str | None:
    """The first file that is no part of a folder; None when there is none."""
    listed = _listed_files(folder) if pulled is None else {file.path for file in pulled.files}
    for path in sorted(folder.rglob("*")):
        if path.is_dir() and not path.is_symlink():
            continue
        name = path.relative_to(folder).as_posix()
        own = path.suffix in _USUAL if listed is None else name in listed
        if not own:
            return name
    return None


def _listed_files(folder: Path) -> set[str] | None:
    """The files that a manifest names, itself included; None where there is none to read."""
    try:
        content = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        return {MANIFEST, *(str(entry["path"]) for entry in content["files"])}
    except (OSError, ValueError, KeyError, TypeError):
        return None
