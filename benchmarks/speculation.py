"""Speculative decoding beside plain decoding: the same prompts on the same engine, in turn.

    python benchmarks/speculation.py [--model sample] [--rounds 1] [--batch 1]

The prompts are in benchmarks/prompts, ten of each kind; random tokens are the worst case. Each is
answered greedily, plain and with speculation one right after the other, the order changing from
prompt to prompt. What is compared is the time from the first token to the last; with --batch, so
many prompts of all kinds run at once, and the time is that of all of them from start to end.

With --oracle-acceptance, guesses come from the plain text and are right that often: the gain that
a drafter without cost would have on any target.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from against_openvino_genai import prepare
from figures import table
from loads import random_tokens
from oracle import record
from workers import machine

from nanoaccel import LLM, RequestOptions, RequestOutput, SamplingParams
from nanoaccel.registry import DRAFTERS

PROMPTS = Path(__file__).parent / "prompts"
RANDOM = "random tokens"
_RANDOM_LENGTHS = (8, 256)


@dataclass(frozen=True, slots=True)
class Pair:
    """A prompt, or a batch of them, answered plain and with speculation.

    Args:
        kind: Of the prompts.
        plain: Seconds without.
        seconds: Seconds with.
        tokens: Generated tokens without, then with.
        steps: Steps that gave tokens, with speculation.
        drafted: Guesses that were checked.
        accepted: Those that were right.
        same: Requests whose texts are equal, of how many.
    """

    kind: str
    plain: float
    seconds: float
    tokens: tuple[int, int]
    steps: int
    drafted: int
    accepted: int
    same: tuple[int, int]


class Bench:
    """Answers prompts both ways on one engine.

    Args:
        llm: With a drafter.
        generate: Tokens at most.
    """

    def __init__(self, llm: LLM, generate: int) -> None:
        self._llm = llm
        self._generate = generate
        self._count = 0

    def pair(self, kind: str, prompts: Sequence[list[int]]) -> Pair:
        """Answer prompts at once, plain and with speculation, or the other way round."""
        self._count += 1
        order = (
            ("off", "auto")
            if self._count % 2 == 1 or record.acceptance is not None
            else ("auto", "off")
        )
        found = {how: self._answer(prompts, how, kind == RANDOM) for how in order}
        plain, ours = found["off"], found["auto"]
        return Pair(
            kind,
            _seconds(plain),
            _seconds(ours),
            (_tokens(plain), _tokens(ours)),
            sum(output.stats.steps for output in ours),
            sum(output.stats.drafted_tokens for output in ours),
            sum(output.stats.accepted_tokens for output in ours),
            (sum(a.text == b.text for a, b in zip(plain, ours, strict=True)), len(ours)),
        )

    def _answer(
        self, prompts: Sequence[list[int]], speculation: str, ignore_eos: bool
    ) -> list[RequestOutput]:
        params = SamplingParams(max_tokens=self._generate, ignore_eos=ignore_eos)
        outputs = self._llm.generate(list(prompts), params, RequestOptions(speculation=speculation))
        if speculation == "off":
            for prompt, output in zip(prompts, outputs, strict=True):
                record.remember(prompt, output.token_ids)
        return outputs


def _seconds(outputs: Sequence[RequestOutput]) -> float:
    """Of one request from its first token on; of several, until all have ended."""
    total = max(output.stats.total for output in outputs)
    first = outputs[0].stats.first_token
    assert first is not None
    return total - first if len(outputs) == 1 else total


def _tokens(outputs: Sequence[RequestOutput]) -> int:
    count = sum(output.usage.completion_tokens for output in outputs)
    return count - 1 if len(outputs) == 1 else count


def prompts_of(kind: str) -> list[str]:
    """The prompts of a kind."""
    return (PROMPTS / f"{kind}.txt").read_text(encoding="utf-8").strip().split("\n---\n")


def encoded(llm: LLM, kinds: Sequence[str]) -> Iterator[tuple[str, list[int]]]:
    """All prompts as tokens, with their kinds."""
    for kind in kinds:
        if kind == RANDOM:
            source = random.Random(kind)
            for _ in range(10):
                yield kind, random_tokens(source, source.randint(*_RANDOM_LENGTHS))
        else:
            for prompt in prompts_of(kind):
                yield kind, llm.tokenizer.encode_chat([{"role": "user", "content": prompt}])


def run(arguments: argparse.Namespace, bundle: Path) -> list[Pair]:
    """All prompts, so many rounds."""
    pairs = []
    with opened(arguments, bundle) as llm:
        bench = Bench(llm, arguments.generate)
        prompts = list(encoded(llm, arguments.kinds))
        if arguments.batch > 1:
            random.Random(0).shuffle(prompts)
        bench.pair("warm-up", [ids for _, ids in prompts[: arguments.batch]])
        for _ in range(arguments.rounds):
            for start in range(0, len(prompts), arguments.batch):
                group = prompts[start : start + arguments.batch]
                kind = group[0][0] if arguments.batch == 1 else f"{len(group)} at once"
                pairs.append(bench.pair(kind, [ids for _, ids in group]))
                print(f"{kind}: {pairs[-1].plain / pairs[-1].seconds:.2f}x", file=sys.stderr)
        counters = llm.counters().speculation
    print(f"\nsaved {counters.saved_steps:.0f} plain steps, balance {counters.balance:.1f}")
    positions = zip(counters.accepted, counters.reached, strict=True)
    print("acceptance by position:", " ".join(f"{a / r:.2f}" for a, r in positions))
    return pairs


@contextmanager
def opened(arguments: argparse.Namespace, bundle: Path) -> Iterator[LLM]:
    """The engine, with the drafter that is asked for."""
    drafter = arguments.drafter
    if arguments.oracle_acceptance is not None:
        record.acceptance = arguments.oracle_acceptance
        DRAFTERS.add("oracle", "oracle:OracleDrafter")
        drafter = "oracle"
    llm = LLM(
        bundle,
        speculation=drafter,
        prefix_cache=False,
        precision=arguments.precision,
        max_running=max(arguments.batch, 1),
    )
    try:
        yield llm
    finally:
        llm.close()


def report(pairs: Sequence[Pair]) -> str:
    """A row for each kind, and one for all."""
    header = ["prompts", "plain tokens/s", "with", "speed", "tokens a step", "accepted", "equal"]
    kinds = list(dict.fromkeys(pair.kind for pair in pairs))
    rows = [[kind, *_cells([pair for pair in pairs if pair.kind == kind])] for kind in kinds]
    useful = [pair for pair in pairs if pair.kind != RANDOM]
    if len(kinds) > 1:
        rows.append([f"all but {RANDOM}", *_cells(useful)])
    return table(header, rows)


def _cells(pairs: Sequence[Pair]) -> list[str]:
    plain = sum(pair.tokens[0] for pair in pairs) / sum(pair.plain for pair in pairs)
    ours = sum(pair.tokens[1] for pair in pairs) / sum(pair.seconds for pair in pairs)
    steps, accepted = sum(p.steps for p in pairs), sum(p.accepted for p in pairs)
    drafted = sum(pair.drafted for pair in pairs)
    same = [sum(pair.same[place] for pair in pairs) for place in (0, 1)]
    return [
        f"{plain:.1f}",
        f"{ours:.1f}",
        f"{ours / plain:.2f}x",
        f"{1 + accepted / steps:.2f}",
        f"{accepted / drafted:.0%}" if drafted else "-",
        f"{same[0]} of {same[1]}",
    ]


def main() -> None:
    kinds = sorted(path.stem for path in PROMPTS.glob("*.txt"))
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="sample", help="hub id, folder, .gguf file or sample")
    parser.add_argument("--bundle", type=Path, help="an exported bundle instead")
    parser.add_argument("--work", type=Path, help="folder to keep the exports in")
    parser.add_argument("--rounds", type=int, default=1, help="times that all prompts are answered")
    parser.add_argument("--generate", type=int, default=128, help="tokens of an answer at most")
    parser.add_argument("--batch", type=int, default=1, help="prompts at once")
    parser.add_argument("--drafter", default="auto", help="who guesses")
    parser.add_argument("--precision", default="auto", choices=["auto", "f32"])
    parser.add_argument("--kinds", nargs="+", default=[*kinds, RANDOM], help="of prompts")
    parser.add_argument(
        "--oracle-acceptance", type=float, help="chance that a guess from the plain text is right"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        bundle = arguments.bundle
        if bundle is None:
            work = Path(temporary) if arguments.work is None else arguments.work
            prepare(arguments.model, work)
            bundle = work / "bundle"
        pairs = run(arguments, bundle)
    print(f"\n{machine()}; {arguments.rounds} interleaved runs\n\n{report(pairs)}")


if __name__ == "__main__":
    main()
