"""Parts of bundles that conversions share: opening, drafts, manifests."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from nanoaccel.bundle import DRAFT, HEAD, MANIFEST, Bundle, GraphEntry, Head, Manifest
from nanoaccel.errors import BundleError, UnsupportedModelError
from nanoaccel.exporters.quantize.recipe import Recipe
from nanoaccel.exporters.quantize.recipe_file import recipe_from
from nanoaccel.exporters.source.places import HUB_ID
from nanoaccel.exporters.targets.head_graphs import give_graphs


def open_whole(source: str) -> Bundle:
    """Open a bundle, and check every byte of it.

    Raises:
        BundleError: It is none, or damaged.
    """
    bundle = Bundle.open(Path(source).expanduser())
    bundle.verify()
    return bundle


def manifest_of(bundle: Bundle) -> Manifest:
    """The manifest of a bundle that is no plain folder."""
    if bundle.manifest is None:
        raise BundleError(f"{bundle.folder} has no {MANIFEST}", "Export the model again")
    return bundle.manifest


def no_weights(bundle: Bundle, manifest: Manifest) -> UnsupportedModelError:
    """The error for a bundle that only its original can become something else from."""
    name = str(manifest.source.get("id"))
    pulls = HUB_ID.fullmatch(name) is not None
    return UnsupportedModelError(
        f"{bundle.folder} has a graph for {', '.join(bundle.runtimes)} alone, whose weights are "
        f"not taken out, and its original ({name}) is not here",
        f"Name it with --original{f', or get it: nanoaccel pull {name}' if pulls else ''}",
    )


def recipe_of(manifest: Manifest) -> Recipe:
    """The recipe that a bundle was made by."""
    return recipe_from(dict(manifest.recipe), "the bundle's recipe")


def for_runtimes(manifest: Manifest, runtimes: tuple[str, ...]) -> Manifest:
    """A manifest whose graphs are those for some of its runtimes, in that order."""
    first = GraphEntry(
        runtime=manifest.target.runtime,
        graph=manifest.target.graph,
        validation=manifest.validation,
    )
    known = {entry.runtime: entry for entry in (first, *manifest.also)}
    chosen, *also = (known[name] for name in runtimes)
    return replace(
        manifest,
        target=replace(manifest.target, runtime=chosen.runtime, graph=chosen.graph),
        validation=chosen.validation,
        also=tuple(also),
        self_check={k: v for k, v in manifest.self_check.items() if k in runtimes},
    )


def keep_draft(bundle: Bundle, folder: Path, runtimes: tuple[str, ...]) -> None:
    """Put a bundle's draft into another one of the same model, with graphs for its runtimes.

    Raises:
        ExportError: A graph of a head cannot be made.
    """
    if bundle.draft is None:
        return
    target = folder / DRAFT
    if not target.is_dir():
        shutil.copytree(bundle.draft, target)
    if (target / HEAD).is_file() and Head.open(target).runtimes != runtimes:
        give_graphs(target, runtimes, bundle.context_length)
