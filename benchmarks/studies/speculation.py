"""Speculative decoding beside plain decoding: the same prompts on the same engine, in turn.

    python -m benchmarks.studies.speculation [--model sample] [--ways ngram auto] [--batch 1]

The prompts are in benchmarks/prompts, ten of each kind; random tokens are the worst case. Each is
answered greedily, plain and in each of the ways one right after the other, the order changing from
prompt to prompt. What is compared is the time from the first token to the last; with --batch, so
many prompts of all kinds run at once, and the time is that of all of them from start to end.

With --oracle-acceptance, draft tokens come from the plain text and are right that often: the gain
that a drafter without cost would have on any target. --model random-1.1b is a Llama of that size.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.harness.exports import Exports
from benchmarks.harness.figures import table
from benchmarks.harness.loads import random_tokens
from benchmarks.harness.machine import machine
from benchmarks.harness.prompts import encode_prompt, prompt_kinds, prompts_of
from benchmarks.studies.oracle import record
from benchmarks.studies.turns import PLAIN, Asker, Turn
from nanoaccel import LLM
from nanoaccel.registry import DRAFTERS

RANDOM = "random tokens"
_RANDOM_LENGTHS = (8, 256)
_WARM_UP = 4  # turns: a graph is compiled several times when sizes of passes change


def encoded(llm: LLM, kinds: Sequence[str]) -> Iterator[tuple[str, list[int]]]:
    """All prompts as tokens, with their kinds."""
    for kind in kinds:
        if kind == RANDOM:
            source = random.Random(kind)
            for _ in range(10):
                yield kind, random_tokens(source, source.randint(*_RANDOM_LENGTHS))
        else:
            for prompt in prompts_of(kind):
                yield kind, encode_prompt(llm.tokenizer, prompt)


def run(arguments: argparse.Namespace, bundle: Path) -> list[Turn]:
    """All prompts, so many rounds."""
    turns = []
    with opened(arguments, bundle) as llm:
        asker = Asker(llm, arguments.ways, arguments.generate)
        prompts = list(encoded(llm, arguments.kinds))
        if arguments.batch > 1:
            random.Random(0).shuffle(prompts)
        for _ in range(_WARM_UP):
            asker.turn("warm-up", [ids for _, ids in prompts[: arguments.batch]], ignore_eos=False)
        for _ in range(arguments.rounds):
            for start in range(0, len(prompts), arguments.batch):
                group = prompts[start : start + arguments.batch]
                kind = group[0][0] if arguments.batch == 1 else f"{len(group)} at once"
                endless = kind == RANDOM
                turns.append(asker.turn(kind, [ids for _, ids in group], ignore_eos=endless))
                rates = [f"{way} {_rate(turns[-1:], way):.0f}" for way in (PLAIN, *arguments.ways)]
                print(f"{kind}: {', '.join(rates)} tokens/s", file=sys.stderr)
        counters = llm.counters().speculation
    print(f"\nsaved {counters.saved_steps:.0f} plain steps, balance {counters.balance:.1f}")
    positions = zip(counters.accepted, counters.reached, strict=True)
    print("acceptance by position:", " ".join(f"{a / r:.2f}" for a, r in positions))
    for name, seconds in counters.seconds_per_guess.items():
        print(f"a draft token of {name}: {1e3 * seconds:.2f} ms")
    return turns


@contextmanager
def opened(arguments: argparse.Namespace, bundle: Path) -> Iterator[LLM]:
    """The engine, with the drafters that are asked for."""
    speculation = "auto"
    if arguments.oracle_acceptance is not None:
        record.acceptance = arguments.oracle_acceptance
        DRAFTERS.add("oracle", "benchmarks.studies.oracle:OracleDrafter")
        speculation = "oracle"
    llm = LLM(
        bundle,
        speculation=speculation,
        draft=arguments.draft,
        prefix_cache=False,
        precision=arguments.precision,
        max_running=max(arguments.batch, 1),
    )
    try:
        yield llm
    finally:
        llm.close()


def report(turns: Sequence[Turn], ways: Sequence[str]) -> str:
    """A table for each way: a row for each kind, and one for all."""
    kinds = list(dict.fromkeys(turn.kind for turn in turns))
    groups = {kind: [turn for turn in turns if turn.kind == kind] for kind in kinds}
    if len(kinds) > 1:
        groups[f"all but {RANDOM}"] = [turn for turn in turns if turn.kind != RANDOM]
    parts = [_table(groups, way, None if way == ways[0] else ways[0]) for way in ways]
    return "\n\n".join(f"{way}:\n\n{part}" for way, part in zip(ways, parts, strict=True))


def _table(groups: dict[str, list[Turn]], way: str, other: str | None) -> str:
    header = [
        *("prompts", "plain tokens/s", "with", "speed", "tokens a step", "right"),
        *("steps with drafts", "equal", "largest gap"),
    ]
    rows = [[kind, *_cells(turns, way)] for kind, turns in groups.items()]
    if other is not None:
        header.insert(4, f"over {other}")
        for row, turns in zip(rows, groups.values(), strict=True):
            row.insert(4, f"{_speed(turns, way) / _speed(turns, other):.2f}x")
    return table(header, rows)


def _cells(turns: Sequence[Turn], way: str) -> list[str]:
    ours = [turn.answers[way] for turn in turns]
    rows, drafted = sum(answer.rows for answer in ours), sum(answer.drafted for answer in ours)
    accepted = sum(answer.accepted for answer in ours)
    gaps = [gap for turn in turns for gap in turn.gaps[way]]
    return [
        f"{_rate(turns, PLAIN):.1f}",
        f"{_rate(turns, way):.1f}",
        f"{_speed(turns, way):.2f}x",
        f"{1 + accepted / rows:.2f}",
        f"{accepted / drafted:.0%}" if drafted else "-",
        f"{sum(answer.draft_rows for answer in ours) / rows:.0%}",
        f"{sum(turn.same[way] for turn in turns)} of {sum(turn.texts for turn in turns)}",
        f"{max(gaps):.2f}" if gaps else "-",
    ]


def _rate(turns: Sequence[Turn], way: str) -> float:
    """Tokens a second."""
    answers = [turn.answers[way] for turn in turns]
    seconds = sum(answer.seconds for answer in answers)
    return sum(answer.tokens for answer in answers) / seconds if seconds > 0 else 0.0


def _speed(turns: Sequence[Turn], way: str) -> float:
    return _rate(turns, way) / _rate(turns, PLAIN)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="sample", help="as for export, or random-1.1b")
    parser.add_argument("--bundle", type=Path, help="an exported bundle instead")
    parser.add_argument("--draft", type=Path, help="a draft instead of the bundle's")
    parser.add_argument("--work", type=Path, help="folder to keep the exports in")
    parser.add_argument("--rounds", type=int, default=1, help="times that all prompts are answered")
    parser.add_argument("--generate", type=int, default=128, help="tokens of an answer at most")
    parser.add_argument("--batch", type=int, default=1, help="prompts at once")
    parser.add_argument(
        "--ways", nargs="+", default=["auto"], help="of speculation: ngram, auto, ..."
    )
    parser.add_argument("--precision", default="auto", choices=["auto", "f32"])
    parser.add_argument("--kinds", nargs="+", default=[*prompt_kinds(), RANDOM], help="of prompts")
    parser.add_argument(
        "--oracle-acceptance",
        type=float,
        help="chance that a draft token from the plain text is right",
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary) if arguments.work is None else arguments.work
        bundle = arguments.bundle
        if bundle is None:
            bundle = Exports(arguments.model, work).default_bundle()
        turns = run(arguments, bundle)
    print(f"\n{machine()}; {arguments.rounds} interleaved runs\n")
    print(report(turns, arguments.ways))


if __name__ == "__main__":
    main()
