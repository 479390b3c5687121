"""What stands in folders: bundles, folders that run as they are, and models that were pulled."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from nanoaccel.bundle.folder import Bundle
from nanoaccel.bundle.in_use import is_held
from nanoaccel.bundle.known import known_folders, last_used
from nanoaccel.bundle.manifest import Manifest
from nanoaccel.errors import NanoAccelError
from nanoaccel.folders import cache_folder
from nanoaccel.pulled import Pulled, all_pulled

_DEPTH = 2  # folders below one that is named


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A folder that can be run or exported.

    Args:
        folder: Where it is.
        kind: "bundle", "plain folder" or "model".
        model: What it was made from, or its name on the hub; empty when nobody says.
        runtimes: Backends that it has graphs for; empty for a model, or where it is damaged.
        size: Bytes of all files.
        recipe: How its weights are stored, as its manifest has it.
        used: When it was opened last, seconds since 1970.
        in_use: Whether a process has it open.
        damage: What is wrong with it; empty when nothing is.
    """

    folder: Path
    kind: str
    model: str
    runtimes: tuple[str, ...]
    size: int
    recipe: str
    used: float | None
    in_use: bool
    damage: str


def list_folders(named: Iterable[Path], *, verify: bool = False) -> list[Listed]:
    """Everything below some folders; and where none is named, all that is known here.

    Args:
        named: Folders, each a bundle or one in which bundles are.
        verify: Whether every byte is checked, and not sizes alone.
    """
    chosen = [path.expanduser() for path in named]
    pulled = {one.folder.resolve(): one for one in all_pulled()}
    roots = chosen if chosen else [Path.cwd(), cache_folder() / "models"]
    found = {path.resolve(): path for root in roots for path in _below(root, pulled, _DEPTH)}
    if not chosen:
        for path in (*(one.folder for one in known_folders()), *pulled):
            found.setdefault(path.resolve(), path)
    listed = [_listed(path, pulled.get(real), verify) for real, path in sorted(found.items())]
    return [one for one in listed if one is not None]


def folder_size(folder: Path) -> int:
    """Bytes of all files below a folder; links are not followed."""
    return sum(
        path.lstat().st_size
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink()
    )


def _below(folder: Path, pulled: Container[Path], depth: int) -> Iterator[Path]:
    """The folders that run or were pulled, a bundle's own folders not among them."""
    try:
        if Bundle.is_one(folder) or folder.resolve() in pulled:
            yield folder
            return
        inner = sorted(path for path in folder.iterdir() if path.is_dir())
    except OSError:
        return
    if depth == 0:
        return
    for path in inner:
        if not path.name.startswith(".") and not path.is_symlink():
            yield from _below(path, pulled, depth - 1)


def _listed(folder: Path, pulled: Pulled | None, verify: bool) -> Listed | None:
    if not Bundle.is_one(folder) and pulled is None:
        return None
    damage, bundle = "", None
    try:
        if pulled is not None:
            damage = pulled.problem(thorough=verify) or ""
        if Bundle.is_one(folder):
            bundle = Bundle.open(folder)
            if verify:
                bundle.verify()
    except NanoAccelError as error:
        damage = error.problem
    except OSError as error:
        damage = str(error)
    manifest = None if bundle is None else bundle.manifest
    return Listed(
        folder=folder,
        kind=_kind(folder, manifest),
        model=_model(manifest, pulled),
        runtimes=() if bundle is None else bundle.runtimes,
        size=folder_size(folder),
        recipe="" if manifest is None else _recipe(manifest),
        used=last_used(folder),
        in_use=is_held(folder),
        damage=damage,
    )


def _kind(folder: Path, manifest: Manifest | None) -> str:
    if manifest is not None or (folder / "nanoaccel.json").is_file():
        return "bundle"
    return "plain folder" if Bundle.is_one(folder) else "model"


def _model(manifest: Manifest | None, pulled: Pulled | None) -> str:
    if pulled is not None:
        return pulled.id
    return "" if manifest is None else str(manifest.source.get("id") or "")


def _recipe(manifest: Manifest) -> str:
    group = manifest.target.weight_group_size
    parts = [str(manifest.recipe.get("weights", "")), "" if group is None else f"groups of {group}"]
    return ", ".join(part for part in parts if part)
