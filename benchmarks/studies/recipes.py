"""How fast bundles of one model decode, beside what their recipes cost.

    python -m benchmarks.studies.recipes BUNDLE BUNDLE... [--defaults]

All are open at once and decode in turn, without speculation; speeds are ratios to the first. With
--defaults they also answer the prompts of benchmarks/prompts, one request at a time, with what each
bundle does by default, speculation included.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks.harness.figures import in_turn, median_ratio, table
from benchmarks.harness.machine import machine
from benchmarks.harness.prompts import encode_prompt, prompt_kinds, prompts_of
from nanoaccel import LLM, Bundle, RequestOptions, SamplingParams

PROMPT = list(range(1000, 1064))
PLAIN = RequestOptions(speculation="off")


def plain_seconds(llm: LLM, tokens: int) -> float:
    """Seconds of a token after the first, without speculation."""
    params = SamplingParams(max_tokens=tokens, ignore_eos=True)
    times = [time.perf_counter() for _ in llm.stream(PROMPT, params, PLAIN)]
    return (times[-1] - times[0]) / (len(times) - 1)


def default_seconds(llm: LLM, prompt: str, tokens: int) -> float | None:
    """Seconds of a token after the first, as by default; None when there is only one."""
    output = llm.generate(encode_prompt(llm.tokenizer, prompt), SamplingParams(max_tokens=tokens))
    if len(output.token_ids) < 2 or output.stats.first_token is None:
        return None
    return (output.stats.total - output.stats.first_token) / (len(output.token_ids) - 1)


def measure_plain(llms: Sequence[LLM], rounds: int, tokens: int) -> list[list[float]]:
    """Seconds of a token for each bundle, round by round."""
    for llm in llms:
        plain_seconds(llm, tokens)
    found: list[list[float]] = [[] for _ in llms]
    for turn in range(rounds):
        for number in in_turn(range(len(llms)), turn):
            found[number].append(plain_seconds(llms[number], tokens))
    return found


def measure_defaults(llms: Sequence[LLM], prompts: int, tokens: int) -> list[list[float]]:
    """Seconds of a token for each bundle, prompt by prompt.

    Args:
        llms: With the bundles' defaults.
        prompts: Prompts of each kind.
        tokens: Tokens of an answer.
    """
    texts = [text for kind in prompt_kinds() for text in prompts_of(kind)[:prompts]]
    for llm in llms:
        for text in texts[:4]:  # sizes of passes change: a graph is compiled several times
            default_seconds(llm, text, tokens)
    found: list[list[float]] = [[] for _ in llms]
    for turn, text in enumerate(texts):
        order = in_turn(range(len(llms)), turn)
        taken = {number: default_seconds(llms[number], text, tokens) for number in order}
        seconds = {number: s for number, s in taken.items() if s is not None}
        if len(seconds) == len(llms):  # else there is nothing to compare
            for number, spent in seconds.items():
                found[number].append(spent)
    return found


def describe(folder: Path) -> list[str]:
    """Name, size and fidelity of a bundle."""
    manifest = Bundle.open(folder).manifest
    assert manifest is not None
    size = next(e.size for e in manifest.files if e.path.endswith("openvino_model.bin"))
    found = manifest.validation
    return [
        *(folder.name, f"{size / 1e6:.1f}"),
        *(f"{found['kl']:.4f}", f"{found['top1_agreement']:.1%}"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("bundles", nargs="+", type=Path)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--defaults", action="store_true", help="speed with speculation, too")
    parser.add_argument("--prompts", type=int, default=10, help="of each kind, for --defaults")
    arguments = parser.parse_args()
    speculation = "auto" if arguments.defaults else "off"
    with ExitStack() as stack:
        llms = [
            stack.enter_context(LLM(bundle, speculation=speculation, prefix_cache=False))
            for bundle in arguments.bundles
        ]
        columns = {"decode": measure_plain(llms, arguments.rounds, arguments.tokens)}
        if arguments.defaults:
            columns["decode, defaults"] = measure_defaults(
                llms, arguments.prompts, arguments.tokens
            )
    rows = [describe(folder) for folder in arguments.bundles]
    for seconds in columns.values():
        for row, ours in zip(rows, seconds, strict=True):
            row.append(f"{median_ratio(seconds[0], ours, float):.2f}x")
    print(f"{machine()}; medians of {arguments.rounds} interleaved rounds\n")
    print(table(["bundle", "MB", "KL", "same likeliest token", *columns], rows))


if __name__ == "__main__":
    main()
