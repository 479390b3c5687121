"""A bundle learns what 4 bits lost: python examples/training/recover.py MODEL FOLDER [MINUTES]

MODEL is a model in Hugging Face's files, or sample. The recovered bundle is as large and as fast as
the first one.
"""

import sys
from dataclasses import replace
from pathlib import Path

from nanoaccel import Recipe, export
from nanoaccel.finetune.recovery.options import RecoveryOptions
from nanoaccel.finetune.recovery.run import recover

RECIPE = Recipe(weights="int4")
OPTIONS = RecoveryOptions()


def main(model: str, folder: str, minutes: str = "15") -> None:
    out = Path(folder)
    export(model, out / "rounded", recipe=RECIPE)
    options = replace(OPTIONS, minutes=float(minutes))
    made = recover(out / "rounded", out / "recovered", options=options)
    for name, found in (("rounded", made.before), ("recovered", made.after)):
        print(
            f"{name}: KL {found.kl:.4f} ± {found.kl_error:.4f} nats a token, the same likeliest "
            f"token at {found.top1_agreement:.1%}"
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
