"""Finds the model that a bundle was made from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nanoaccel.errors import SourceError

if TYPE_CHECKING:
    from nanoaccel.bundle import Manifest


def find_original(manifest: Manifest | None, named: str | None) -> str | None:
    """The name of a bundle's original; None when it is not on this machine.

    Args:
        manifest: The bundle's.
        named: What the user says that it is.

    Raises:
        SourceError: What was named is another model.
    """
    if named is not None:
        if not _is_it(manifest, named):
            raise SourceError(
                f"--original {named} is not what the bundle was made from: its weights, "
                "configuration or tokenizer differ",
                f"Name {_source_of(manifest)}, or export {named} itself",
            )
        return named
    name = None if manifest is None else manifest.source.get("id")
    if not name or not _is_here(name):
        return None
    return name if _is_it(manifest, name) else None


def _source_of(manifest: Manifest | None) -> str:
    return str(None if manifest is None else manifest.source.get("id"))


def _is_here(name: str) -> bool:
    """Whether it need not be downloaded."""
    from nanoaccel.exporters.source.sample import SAMPLE
    from nanoaccel.folders import cache_folder
    from nanoaccel.pulled import pulled_folder

    if name == SAMPLE:
        return any(cache_folder().glob("*.Q4_1.gguf"))
    return Path(name).expanduser().exists() or pulled_folder(name) is not None


def _is_it(manifest: Manifest | None, name: str) -> bool:
    from nanoaccel.exporters.source.model_source import resolve
    from nanoaccel.exporters.source.original_key import content_key

    expected = None if manifest is None else manifest.source.get("content")
    try:
        return expected is None or content_key(resolve(name)) == expected
    except SourceError:
        return False
