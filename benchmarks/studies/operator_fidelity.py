"""How far a bundle is from its original on NanoAccel's operators, and on stock ones.

    python -m benchmarks.studies.operator_fidelity BUNDLE [--tokens 16384]

Both read the same weights and the same held-out text, through the engine's passes on ONNX Runtime,
and are compared with the original model in f32, whose predictions are kept for the next time. The
other operators of the table have the same weights with activations in f32: what of the distance is
the weights' own.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.harness.figures import table
from benchmarks.harness.machine import machine
from nanoaccel.bundle import Bundle
from nanoaccel.calibration.datasets import CalibrationOptions, judging_windows
from nanoaccel.calibration.metrics import Fidelity
from nanoaccel.calibration.reference import Reference
from nanoaccel.evaluation.evaluate import DEFAULT_LENGTH, DEFAULT_TOKENS
from nanoaccel.evaluation.logits import BundleLogits
from nanoaccel.evaluation.original import original_of
from nanoaccel.exporters.reference.encoder import ModelEncoder
from nanoaccel.runtime.backends import Precision
from nanoaccel.runtime.native import find_operators
from nanoaccel.runtime.native.library import ISA, NONE


@contextmanager
def stock_operators(stock: bool) -> Iterator[None]:
    """While a graph is loaded, whether it gets stock operators."""
    before = os.environ.get(ISA)
    if stock:
        os.environ[ISA] = NONE
    try:
        yield
    finally:
        os.environ.pop(ISA, None)
        if before is not None:
            os.environ[ISA] = before


def judged(bundle: Bundle, reference: Reference, *, stock: bool, precision: Precision) -> Fidelity:
    """How far the bundle is from the original."""
    with stock_operators(stock):
        logits = BundleLogits(bundle, length=DEFAULT_LENGTH, backend="onnx", precision=precision)
    with logits:
        return reference.judge(logits)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--tokens", type=int, default=DEFAULT_TOKENS)
    given = parser.parse_args()
    operators = find_operators()
    if operators.library is None:
        raise SystemExit(operators.described())
    bundle = Bundle.open(given.bundle)
    encoder = ModelEncoder(bundle.tokenizer_folder)
    options = CalibrationOptions(length=DEFAULT_LENGTH)
    judge = judging_windows(options, encoder, given.tokens, bundle.context_length)
    reference = original_of(bundle, judge, lambda share: print(f"{share:.0%}", file=sys.stderr))
    ways: dict[str, tuple[bool, Precision]] = {
        operators.described(): (False, "auto"),
        "stock": (True, "auto"),
        "stock, activations in f32": (True, "f32"),
    }
    rows = []
    for name, (stock, precision) in ways.items():
        found = judged(bundle, reference, stock=stock, precision=precision)
        kl = f"{found.kl:.5f} ± {found.kl_error:.5f}"
        rows.append([name, kl, f"{found.top1_agreement:.2%}", f"{found.perplexity:.3f}"])
    print(f"{machine()}; {judge.name}, {sum(map(len, judge.held_out))} tokens\n")
    print(table(["operators", "KL to the original, nats", "same top token", "perplexity"], rows))


if __name__ == "__main__":
    main()
