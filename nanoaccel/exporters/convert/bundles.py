"""From a bundle to a bundle: for other runtimes, or by another recipe."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from nanoaccel.bundle import DRAFT, MANIFEST, Bundle, Manifest
from nanoaccel.errors import BundleError, ConfigError, UnsupportedModelError
from nanoaccel.exporters.convert.original import find_original
from nanoaccel.exporters.convert.request import Conversion, Converted
from nanoaccel.exporters.convert.restated import restate
from nanoaccel.exporters.pipeline import export
from nanoaccel.exporters.publish import publishing
from nanoaccel.exporters.quantize.recipe import Recipe
from nanoaccel.exporters.quantize.recipe_file import recipe_from
from nanoaccel.exporters.source.model_source import HUB_ID
from nanoaccel.exporters.targets.table import BASE, target_names


def convert_bundle(conversion: Conversion) -> Converted:
    """Make a bundle of a bundle.

    Raises:
        ConfigError: Nothing shall be different.
        SourceError: What was named is not its original.
        UnsupportedModelError: It has no weights that can be taken over, and no original is here.
        NanoAccelError: As ``export``.
    """
    bundle = open_whole(conversion.source)
    options, manifest = conversion.options, manifest_of(bundle)
    runtimes = bundle.runtimes if options.runtime is None else target_names(options.runtime)
    if options.recipe is None and options.original is None:
        if runtimes == bundle.runtimes:
            raise ConfigError(
                f"{bundle.folder} is for {', '.join(runtimes)} already",
                "Name what shall be different: --runtime, or a recipe such as --weights int8",
            )
        if set(runtimes) <= set(bundle.runtimes):
            return _with_fewer(bundle, manifest, runtimes, conversion)
        if BASE.name in bundle.runtimes:
            from nanoaccel.exporters.convert.kept_weights import take_over

            return take_over(bundle, manifest, runtimes, conversion)
    original = find_original(manifest, options.original)
    if original is not None:
        return _from_original(bundle, manifest, original, conversion)
    if BASE.name in bundle.runtimes:
        from nanoaccel.exporters.convert.kept_weights import requantize

        return requantize(bundle, manifest, runtimes, conversion)
    raise no_weights(bundle, manifest)


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


def _with_fewer(
    bundle: Bundle, manifest: Manifest, runtimes: tuple[str, ...], conversion: Conversion
) -> Converted:
    """A copy with the graphs of some of its runtimes."""
    dropped = set(bundle.runtimes) - set(runtimes)
    with publishing(conversion.out, overwrite=conversion.options.overwrite) as folder:
        shutil.copytree(
            bundle.folder,
            folder,
            dirs_exist_ok=True,
            ignore=lambda at, _: dropped if Path(at) == bundle.folder else set(),
        )
        keep_draft(bundle, folder, runtimes)
        note = f"Made of a bundle for {', '.join(bundle.runtimes)}; its graphs are unchanged"
        restate(folder, for_runtimes(manifest, runtimes), note)
    return Converted(conversion.out, "bundle", f"copied for {', '.join(runtimes)}")


def for_runtimes(manifest: Manifest, runtimes: tuple[str, ...]) -> Manifest:
    """A manifest whose graphs are those for some of its runtimes, in that order."""
    from nanoaccel.bundle import GraphEntry

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
    from nanoaccel.bundle import HEAD, Head
    from nanoaccel.exporters.targets.head_graphs import give_graphs

    if bundle.draft is None:
        return
    target = folder / DRAFT
    if not target.is_dir():
        shutil.copytree(bundle.draft, target)
    if (target / HEAD).is_file() and Head.open(target).runtimes != runtimes:
        give_graphs(target, runtimes, bundle.context_length)


def _from_original(
    bundle: Bundle, manifest: Manifest, original: str, conversion: Conversion
) -> Converted:
    """Export the original again."""
    options = conversion.options
    names = bundle.runtimes
    usual = "both" if len(names) > 1 else names[0]
    made = export(
        original,
        conversion.out,
        recipe=recipe_of(manifest) if options.recipe is None else options.recipe,
        calibration=options.calibration,
        judge_tokens=options.judge_tokens,
        draft="none" if bundle.draft is None else str(bundle.draft),
        runtime=usual if options.runtime is None else options.runtime,
        overwrite=options.overwrite,
        listener=conversion.progress.listener,
    )
    how = f"made of its original, {original}, for {', '.join(made.runtimes)}"
    return Converted(conversion.out, "bundle", how)
