"""The adapters that a bundle holds: files in folders of their names, listed in the manifest."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from nanoaccel.adapters.peft_config import CONFIG, NOTE, WEIGHTS
from nanoaccel.bundle.files import FileEntry, inside, read_text, sha256_of
from nanoaccel.bundle.in_use import hold_alone
from nanoaccel.bundle.manifest import MANIFEST, Manifest
from nanoaccel.errors import BundleError, ConfigError
from nanoaccel.registry import did_you_mean

ADAPTERS = "adapters"


@dataclass(frozen=True, slots=True)
class AdapterFiles:
    """An adapter of a bundle.

    Args:
        folder: Where it is.
        config_sha256: Checksum of its configuration.
        weights_sha256: Checksum of its tensors.
        size: Bytes of all its files.
    """

    folder: Path
    config_sha256: str
    weights_sha256: str
    size: int


def adapters_of(folder: Path, files: Sequence[FileEntry]) -> dict[str, AdapterFiles]:
    """Adapters by name, as a manifest lists their files."""
    found: dict[str, dict[str, FileEntry]] = {}
    for entry in files:
        parts = PurePosixPath(entry.path).parts
        if len(parts) == 3 and parts[0] == ADAPTERS:
            found.setdefault(parts[1], {})[parts[2]] = entry
    return {
        name: AdapterFiles(
            folder=inside(folder, f"{ADAPTERS}/{name}"),
            config_sha256=own[CONFIG].sha256,
            weights_sha256=own[WEIGHTS].sha256,
            size=sum(entry.size for entry in own.values()),
        )
        for name, own in found.items()
        if CONFIG in own and WEIGHTS in own
    }


def put_adapter(bundle: Path, name: str, adapter: Path) -> None:
    """Copy an adapter into a bundle; a call that is killed leaves the bundle as it was.

    Args:
        bundle: The bundle's folder.
        name: Name of the adapter in it; part of a path.
        adapter: Its folder, which was checked.

    Raises:
        BundleError: The folder is no bundle, is in use, or cannot be written to.
        ConfigError: The bundle has an adapter of this name.
    """
    with _alone(bundle) as manifest:
        if name in adapters_of(bundle, manifest.files):
            raise ConfigError(
                f"{bundle} has an adapter {name!r} already",
                f"Choose another --name, or remove it: nanoaccel adapter rm {bundle} {name}",
            )
        place = bundle / ADAPTERS / name
        shutil.rmtree(place, ignore_errors=True)  # what a call that was killed has left
        place.mkdir(parents=True)
        for file in (CONFIG, WEIGHTS, NOTE):
            if (adapter / file).is_file():
                shutil.copyfile(adapter / file, place / file)
                _sync(place / file)
        added = tuple(_entry(bundle, path) for path in sorted(place.iterdir()))
        _write(bundle, replace(manifest, files=(*manifest.files, *added)))


def drop_adapter(bundle: Path, name: str) -> None:
    """Remove an adapter from a bundle.

    Args:
        bundle: The bundle's folder.
        name: Name of the adapter in it.

    Raises:
        BundleError: The folder is no bundle, is in use, or cannot be written to.
        ConfigError: The bundle has no such adapter.
    """
    with _alone(bundle) as manifest:
        known = adapters_of(bundle, manifest.files)
        if name not in known:
            remedy = did_you_mean(name, list(known)) if known else "It has none"
            raise ConfigError(f"{bundle} has no adapter {name!r}", remedy)
        below = f"{ADAPTERS}/{name}/"
        kept = tuple(entry for entry in manifest.files if not entry.path.startswith(below))
        _write(bundle, replace(manifest, files=kept))
        shutil.rmtree(known[name].folder)
        if not any((bundle / ADAPTERS).iterdir()):
            (bundle / ADAPTERS).rmdir()


@contextmanager
def _alone(bundle: Path) -> Iterator[Manifest]:
    """The manifest of a bundle that nobody else uses meanwhile."""
    path = bundle / MANIFEST
    if not path.is_file():
        raise BundleError(
            f"{bundle} is no NanoAccel bundle", "Make one: nanoaccel export MODEL OUT"
        )
    held = hold_alone(bundle)
    if held is None:
        raise BundleError(
            f"{bundle} is in use: a process has it open",
            "End what runs it first; a server can load adapters while it runs (--load-adapters)",
        )
    try:
        with held:
            yield Manifest.from_json(read_text(path), path)
    except OSError as error:
        raise BundleError(
            f"{error.filename} cannot be written: {error.strerror}",
            "Make room, or see who may write there; the bundle is as it was",
        ) from error


def _write(bundle: Path, manifest: Manifest) -> None:
    beside = bundle / f".{MANIFEST}.{os.getpid()}"
    try:
        beside.write_text(manifest.to_json(), encoding="utf-8")
        _sync(beside)
        beside.replace(bundle / MANIFEST)
    finally:
        beside.unlink(missing_ok=True)


def _entry(bundle: Path, path: Path) -> FileEntry:
    name = path.relative_to(bundle).as_posix()
    return FileEntry(path=name, size=path.stat().st_size, sha256=sha256_of(path))


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
