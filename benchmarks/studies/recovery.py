"""What a recovery wins back, on the text that it is judged by and on others, and what it takes.

    python -m benchmarks.studies.recovery BUNDLE [--minutes 15] [--text docs] [--on FILE ...]
                                                 [--processor-time]

BUNDLE stays as it is: a copy is recovered. With --processor-time the seconds of all processors
together, divided by how many there are, are counted instead of those of a clock: so other work on
the machine costs no learning. The sample's bundle of 88 MB is made by

    nanoaccel export sample BUNDLE --recipe balanced --target-size 88MB
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.harness.figures import table
from benchmarks.harness.machine import machine
from nanoaccel.calibration.metrics import Fidelity
from nanoaccel.evaluation import evaluate
from nanoaccel.finetune.recovery.options import RecoveryOptions, teaching_options
from nanoaccel.finetune.recovery.run import recover


def processor_time() -> float:
    """Seconds of this process on all processors, a share for each."""
    return time.process_time() / len(os.sched_getaffinity(0))


def row(name: str, before: Fidelity, after: Fidelity) -> Sequence[str]:
    """A line of the table."""
    return (
        name,
        f"{before.kl:.4f} ± {before.kl_error:.4f}",
        f"{after.kl:.4f} ± {after.kl_error:.4f}",
        f"{before.top1_agreement:.1%}",
        f"{after.top1_agreement:.1%}",
    )


def graph_bytes(folder: Path) -> int:
    """Bytes of the files of the graphs."""
    folders = (folder / name for name in ("openvino", "onnx"))
    return sum(path.stat().st_size for one in folders for path in one.glob("*"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--text", default="docs", help="what teaches")
    parser.add_argument("--on", nargs="*", default=[], help="other texts to judge on")
    parser.add_argument("--judge-tokens", type=int, default=16384)
    parser.add_argument("--processor-time", action="store_true")
    given = parser.parse_args()
    clock: Callable[[], float] = processor_time if given.processor_time else time.monotonic
    options = RecoveryOptions(
        minutes=given.minutes,
        text=teaching_options(source=given.text),
        judge_tokens=given.judge_tokens,
    )
    with tempfile.TemporaryDirectory() as work:
        out, began = Path(work) / "out", clock()
        made = recover(given.bundle, out, options=options, clock=clock)
        seconds = clock() - began
        rows = [row(made.after.text, made.before, made.after)]
        for text in given.on:
            pair = [evaluate(one, text=text) for one in (given.bundle, out)]
            rows.append(row(text, *pair))
        sizes = [graph_bytes(one) for one in (given.bundle, out)]
    print(machine())
    print(table(("text", "KL before", "KL after", "agreement before", "after"), rows))
    print(f"learned: {made.learned.tokens:,} tokens of {made.text}")
    print(f"graphs: {sizes[0] / 1e6:.2f} MB before, {sizes[1] / 1e6:.2f} MB after")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    expected = made.expected_memory
    print(
        f"{seconds:.0f} s; {peak / 1e9:.2f} GB resident at most, {expected / 1e9:.2f} GB foretold"
    )


if __name__ == "__main__":
    main()
