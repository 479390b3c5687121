"""From a bundle to a bundle: for other runtimes, or by another recipe."""

from __future__ import annotations

import shutil
from pathlib import Path

from nanoaccel.bundle import Bundle, Manifest
from nanoaccel.errors import ConfigError
from nanoaccel.exporters.convert.bundle_parts import (
    for_runtimes,
    keep_draft,
    manifest_of,
    no_weights,
    open_whole,
    recipe_of,
)
from nanoaccel.exporters.convert.kept_weights import requantize, take_over
from nanoaccel.exporters.convert.original import find_original
from nanoaccel.exporters.convert.request import Conversion, Converted
from nanoaccel.exporters.convert.restated import restate
from nanoaccel.exporters.pipeline import export
from nanoaccel.exporters.publish import publishing
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
            return take_over(bundle, manifest, runtimes, conversion)
    original = find_original(manifest, options.original)
    if original is not None:
        return _from_original(bundle, manifest, original, conversion)
    if BASE.name in bundle.runtimes:
        return requantize(bundle, manifest, runtimes, conversion)
    raise no_weights(bundle, manifest)


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
