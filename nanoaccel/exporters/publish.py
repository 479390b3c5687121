"""A folder appears whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from nanoaccel.bundle import MANIFEST
from nanoaccel.errors import ExportError
from nanoaccel.folders import cache_folder, is_in_cache

_PARTIAL = "partial"
_OLD = "old"
_FULL = 1 << 20  # bytes that remain when a large write has failed


@contextmanager
def publishing(
    target: Path, *, overwrite: bool, manifests: Sequence[str] = (MANIFEST,)
) -> Iterator[Path]:
    """Give a temporary folder beside ``target`` that becomes it when the block succeeds.

    Args:
        target: The folder to make.
        overwrite: Whether what stands there may be replaced, if it was published too.
        manifests: Names of files of which one stands in a folder that was published.

    Raises:
        ExportError: Something else stands there, or the disk is full or read-only.
    """
    with _work_folder(target) as work:
        check_free(target, overwrite, manifests)
        work.mkdir(parents=True)
        yield work
        check_free(target, overwrite, manifests)
        _swap(work, target)


@contextmanager
def publishing_file(target: Path, *, overwrite: bool, magic: bytes) -> Iterator[Path]:
    """Give a path beside ``target`` whose file becomes it when the block succeeds.

    Args:
        target: The file to make.
        overwrite: Whether a file that stands there may be replaced, if it is of the same kind.
        magic: Bytes with which files of the kind begin.

    Raises:
        ExportError: Something else stands there, or the disk is full or read-only.
    """
    with _work_folder(target) as work:
        _check_file(target, overwrite, magic)
        work.mkdir(parents=True)
        yield work / target.name
        _check_file(target, overwrite, magic)
        (work / target.name).replace(target)


@contextmanager
def _work_folder(target: Path) -> Iterator[Path]:
    """A name for a folder beside a target, which is removed, and errors that name the target."""
    work = target.parent / f".{target.name}.{_PARTIAL}-{os.getpid()}"
    try:
        _remove_leftovers(target)
        yield work
    except Exception as error:
        if disk_is_full(error, work):
            raise ExportError(
                f"the disk of {target.parent} is full", "Free space and export again"
            ) from error
        if isinstance(error, OSError) and error.errno is not None:
            raise _explained(error, target) from error
        raise
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _explained(error: OSError, target: Path) -> ExportError:
    """What an error of the system means, by the file that it names."""
    reason = error.strerror or str(error)
    if error.filename is None:
        return ExportError(f"the export failed: {reason}", "Run again with --debug for its place")
    path = Path(os.path.abspath(os.fsdecode(error.filename)))
    if path.is_relative_to(target.parent) or path in target.parents:
        return ExportError(f"cannot write {target}: {error}", "Name a folder that you can write to")
    if is_in_cache(path):
        return ExportError(
            f"cannot use the cache folder {cache_folder()}: {error}",
            "Set NANOACCEL_CACHE to a folder that you can write to",
        )
    return ExportError(f"cannot use {path}: {reason}", "See that it is there and can be used")


def check_space(folder: Path, needed: int) -> None:
    """Refuse, before anything large is written, what the disk cannot hold.

    Args:
        folder: Where it will be written.
        needed: Bytes.

    Raises:
        ExportError: Fewer bytes are free.
    """
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise ExportError(
            f"the disk of {folder.parent} is too full: the export needs about "
            f"{needed / 1e6:.0f} MB, {free / 1e6:.0f} MB are free",
            "Free space and export again",
        )


def check_free(target: Path, overwrite: bool, manifests: Sequence[str]) -> None:
    if not target.exists():
        return
    if not target.is_dir():
        raise ExportError(f"{target} is a file", "Name a folder that does not exist yet")
    if not any(target.iterdir()):
        return
    if not any((target / name).is_file() for name in manifests):
        raise ExportError(f"{target} is in use: it is no bundle", "Name another folder")
    if not overwrite:
        raise ExportError(
            f"{target} is in use: a bundle stands there",
            "Name another folder, or replace it with --overwrite",
        )


def _check_file(target: Path, overwrite: bool, magic: bytes) -> None:
    if not target.exists():
        return
    if target.is_dir():
        raise ExportError(f"{target} is a folder", "Name a file that does not exist yet")
    with target.open("rb") as file:
        if file.read(len(magic)) != magic:
            raise ExportError(f"{target} is in use: it is another kind of file", "Name another")
    if not overwrite:
        raise ExportError(
            f"{target} exists already", "Name another file, or replace it with --overwrite"
        )


def _remove_leftovers(target: Path) -> None:
    """Delete what killed exports to the same target left behind, also under a reused number."""
    for kind in (_PARTIAL, _OLD):
        for folder in target.parent.glob(f".{target.name}.{kind}-*"):
            owner = folder.name.rpartition("-")[2]
            if owner.isdigit() and (int(owner) == os.getpid() or not _is_alive(int(owner))):
                shutil.rmtree(folder, ignore_errors=True)


def _is_alive(process: int) -> bool:
    import psutil

    return bool(psutil.pid_exists(process))


def _swap(work: Path, target: Path) -> None:
    if not target.exists():
        work.rename(target)
        return
    old = target.parent / f".{target.name}.{_OLD}-{os.getpid()}"
    target.rename(old)
    try:
        work.rename(target)
    except OSError:
        old.rename(target)
        raise
    shutil.rmtree(old)


def disk_is_full(error: Exception, work: Path) -> bool:
    """Whether a full disk is the cause; libraries raise many kinds of errors when a write fails."""
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return True
    return work.exists() and shutil.disk_usage(work).free < _FULL
