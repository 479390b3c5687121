"""From a model to a bundle: the export itself."""

from __future__ import annotations

from nanoaccel.exporters.convert.request import Conversion, Converted
from nanoaccel.exporters.pipeline import export


def export_model(conversion: Conversion) -> Converted:
    """See ``export``."""
    options = conversion.options
    bundle = export(
        conversion.source,
        conversion.out,
        recipe=options.recipe,
        calibration=options.calibration,
        judge_tokens=options.judge_tokens,
        runtime="auto" if options.runtime is None else options.runtime,
        overwrite=options.overwrite,
        listener=conversion.progress.listener,
    )
    return Converted(conversion.out, "bundle", f"exported for {', '.join(bundle.runtimes)}")
