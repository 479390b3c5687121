"""How fast bundles of one model write, beside what their recipes cost.

    python benchmarks/recipes.py BUNDLE BUNDLE...

All are open at once and write in turn, without guesses; speeds are ratios to the first.
"""

from __future__ import annotations

import argparse
import statistics
import time
from contextlib import ExitStack
from pathlib import Path

from workers import machine

from nanoaccel import LLM, Bundle, SamplingParams

PROMPT = list(range(1000, 1064))


def seconds(llm: LLM, tokens: int) -> float:
    """A token takes, after the first."""
    params = SamplingParams(max_tokens=tokens, ignore_eos=True)
    times = [time.perf_counter() for _ in llm.stream(PROMPT, params)]
    return (times[-1] - times[0]) / (len(times) - 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundles", nargs="+", type=Path)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--tokens", type=int, default=48)
    arguments = parser.parse_args()
    print(f"{machine()}; medians of {arguments.rounds} interleaved rounds\n")
    print("| bundle | MB | KL | same likeliest token | decode |\n| --- | --- | --- | --- | --- |")
    with ExitStack() as stack:
        llms = [
            stack.enter_context(LLM(bundle, speculation="off", prefix_cache=False))
            for bundle in arguments.bundles
        ]
        for llm in llms:
            seconds(llm, arguments.tokens)
        rounds = [[seconds(llm, arguments.tokens) for llm in llms] for _ in range(arguments.rounds)]
    for place, folder in enumerate(arguments.bundles):
        manifest = Bundle.open(folder).manifest
        assert manifest is not None
        size = next(e.size for e in manifest.files if e.path.endswith("openvino_model.bin"))
        speed = statistics.median(times[0] / times[place] for times in rounds)
        found = manifest.validation
        print(
            f"| {folder.name} | {size / 1e6:.1f} | {found['kl']:.4f} | "
            f"{found['top1_agreement']:.1%} | {speed:.2f}x |"
        )


if __name__ == "__main__":
    main()
