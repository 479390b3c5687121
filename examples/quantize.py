"""A recipe of one's own: python examples/quantize.py MODEL FOLDER TEXT [SECONDS]

TEXT is a file like what the model will read: .txt, .md, or .jsonl with messages. It calibrates and
judges. With SECONDS, recipes are then tried for so long, and the best one is taken that keeps a
limit.
"""

import sys
from dataclasses import replace
from pathlib import Path

from nanoaccel import Bundle, Recipe, export
from nanoaccel.calibration.datasets.options import CalibrationOptions
from nanoaccel.evaluation import evaluate
from nanoaccel.exporters.quantize.recipe import Override

CALIBRATION = CalibrationOptions(samples=64, length=256)
NEAREST = Recipe(weights="int4", group_size=32)
# The same, chosen by what the layers compute; layers that suffer most stay in int8.
MINE = Recipe(
    weights="int4",
    group_size=32,
    methods=("awq", "scale-estimation"),
    overrides=(Override(layers="*.down_proj", weights="int8"),),
)
# The smallest model whose predictions are no further than this from the original's.
LIMIT = Recipe(weights="int4", group_size=32, max_kl=0.05)


def tell(bundle: Bundle, model: str) -> None:
    """Print the size of a bundle, and how far it is from its original over the usual text."""
    size = sum(file.stat().st_size for file in bundle.folder.rglob("*") if file.is_file())
    found = evaluate(bundle.folder, against=model, tokens=4096)
    print(
        f"{bundle.folder.name}: {size / 1e6:.1f} MB, KL {found.kl:.4f} ± {found.kl_error:.4f} "
        f"nats a token, the same likeliest token at {found.top1_agreement:.1%}"
    )


def main(model: str, folder: str, text: str, seconds: str | None = None) -> None:
    out, calibration = Path(folder), replace(CALIBRATION, source=text)
    for name, recipe in (("nearest", NEAREST), ("mine", MINE)):
        tell(export(model, out / name, recipe=recipe, calibration=calibration), model)
    if seconds is not None:
        made = export(
            model,
            out / "searched",
            recipe=LIMIT,
            calibration=calibration,
            search_seconds=float(seconds),
        )
        tell(made, model)


if __name__ == "__main__":
    main(*sys.argv[1:])
