"""The speed beside other engines that the project promises: each in fresh processes, in turn.

    python -m benchmarks.peers.targets [--model sample] [--bundle FOLDER] [--gguf Q4_0.gguf]
        [--rows decode answers 8 16] [--rounds 4] [--work FOLDER]

In each round, engines are started one after another, each alone, and asked the same; who begins
changes. A ratio is that of the figures of one round; the median counts, brackets are quartiles.

decode    tokens a second behind 128 random tokens, plain, beside llama.cpp at Q4_0
answers   tokens a second of whole answers to one prompt of each kind, those of benchmarks/prompts
          and the unseen ones: the defaults beside llama.cpp, and beside GenAI's prompt lookup
8, 16     so many chats at once, from a process's first request to the last token, prompts included:
          with speculation and without, beside GenAI's continuous batching, both with their prefix
          caches: the chats have a system prompt in common, which their template begins with

Needs the extras openvino, onnx, export and bench, and llama_cpp for its rows.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness.engines import ENGINES, LLAMA
from benchmarks.harness.exports import RANDOM_MODEL, Exports
from benchmarks.harness.figures import Pacing, Quartiles, in_turn, table
from benchmarks.harness.loads import Load, Request
from benchmarks.harness.machine import machine
from benchmarks.harness.prompts import encode_prompt, prompt_kinds, prompts_of, unseen_dialogues
from benchmarks.harness.results import Row
from benchmarks.harness.worker import Worker
from benchmarks.peers.workload import Batch, Workload, answer_rate, decode_rate
from nanoaccel.bundle import Bundle
from nanoaccel.runtime.native import find_operators
from nanoaccel.text import Tokenizer

PLAIN, DEFAULT, LOOKUP = "nanoaccel-onnx", "nanoaccel-default", "genai-lookup"
SERVING, PLAIN_SERVING = "nanoaccel-default-serving", "nanoaccel-plain-serving"
GENAI_SERVING = "genai-sym-serving"
ROWS = ("decode", "answers", "8", "16")
_DECODED = 128  # tokens of an answer to random tokens
_ASKED = 3  # times in a process
_ANSWERED = 96  # tokens of an answer at most
_PREFIX_CACHES = {  # by adapter; engines are measured without one elsewhere
    "nanoaccel-serving": {"prefix_cache": True},
    "genai-serving": {"enable_prefix_caching": True},
}

Session = Callable[[Worker, int], float]  # of a round; gives tokens a second


@dataclass(frozen=True, slots=True)
class Target:
    """A ratio that is promised.

    Args:
        ours, theirs: Names of engines.
        least: What our figure over theirs must be.
    """

    ours: str
    theirs: str
    least: float


def targets_of(row: str, model: str) -> list[Target]:
    """What is promised for a row."""
    if row == "decode":
        return [Target(PLAIN, LLAMA, 1.15 if model == RANDOM_MODEL else 1.3)]
    if row == "answers":
        return [Target(DEFAULT, LLAMA, 2.0), Target(DEFAULT, LOOKUP, 1.7)]
    return [Target(ours, GENAI_SERVING, 1.8) for ours in (SERVING, PLAIN_SERVING)]


class Sessions:
    """What a process is asked.

    Args:
        tokenizer: Of the model.
        context: Its longest sequence.
        rounds: Rounds that there will be.
    """

    def __init__(self, tokenizer: Tokenizer, context: int, rounds: int) -> None:
        self._asked = Workload(tokenizer, context, rounds * _ASKED, quick=False)
        kinds = [prompts_of(kind) for kind in prompt_kinds()]
        kinds += [[texts[0] for texts in found] for found in unseen_dialogues().values()]
        self._kinds = [
            [encode_prompt(tokenizer, text)[-(context - _ANSWERED) :] for text in kind]
            for kind in kinds
        ]

    def of(self, row: str) -> Session:
        """What a row asks."""
        if row == "decode":
            return self._decode
        if row == "answers":
            return self._answer
        return lambda worker, turn: self._at_once(worker, turn, int(row))

    def _decode(self, worker: Worker, turn: int) -> float:
        batches = [self._asked.first(_ASKED * turn + n, 128, _DECODED) for n in range(_ASKED + 1)]
        answers = [worker.generate(batch.prompts, batch.max_tokens) for batch in batches]
        return decode_rate(batches[1:], answers[1:])  # the first warms up

    def _answer(self, worker: Worker, turn: int) -> float:
        worker.generate(self._asked.first(turn, 16, 8).prompts, 8)
        batches = [Batch([kind[turn % len(kind)]], _ANSWERED, False) for kind in self._kinds]
        answers = [
            worker.generate(batch.prompts, batch.max_tokens, ignore_eos=False) for batch in batches
        ]
        return answer_rate(batches, answers)

    def _at_once(self, worker: Worker, turn: int, count: int) -> float:
        chosen = [self._kinds[n % len(self._kinds)] for n in range(count)]
        prompts = [kind[(turn + n) % len(kind)] for n, kind in enumerate(chosen)]
        load = Load([Request(0.0, prompt, _ANSWERED) for prompt in prompts])
        return Pacing.of(worker.play(load)).tokens_per_second


def measure(
    row: str, targets: Sequence[Target], exports: Exports, session: Session, rounds: int
) -> Row:
    """The figures of all engines that a row's targets name."""
    names = list(dict.fromkeys(name for t in targets for name in (t.ours, t.theirs)))
    figures: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(rounds):
        for name in in_turn(names, turn):
            engine = ENGINES[name]
            with engine.start(exports, _PREFIX_CACHES.get(engine.adapter)) as worker:
                figures[name].append(session(worker, turn))
            print(f"{row}: {name}: {figures[name][-1]:.0f} tokens/s", file=sys.stderr)
    return Row(row, "tokens/s", True, figures)


def lines(row: Row, targets: Sequence[Target]) -> Iterator[list[object]]:
    """A line of the table for each target."""
    for target in targets:
        ratio = Quartiles.of(row.gains(target.ours, target.theirs))
        rates: Mapping[str, Sequence[float]] = row.figures
        shown = [Quartiles.of(rates[name]).show(0) for name in (target.ours, target.theirs)]
        holds = "yes" if ratio.middle >= target.least else "no"
        what = [row.name, target.ours, target.theirs, *shown]
        yield [*what, f"{ratio.show(2)}", target.least, holds]


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("--model", default="sample", help="as for export, or random-1.1b")
    add("--bundle", type=Path, help="a bundle of it for both runtimes, instead of an export")
    add("--gguf", type=Path, help="file for llama.cpp, instead of the model's own at Q4_0")
    add("--llama-python", metavar="PATH", default=sys.executable, help="who has llama_cpp")
    add("--rows", nargs="+", choices=ROWS, default=ROWS, help="what to measure; default: all")
    add("--rounds", type=int, default=4, help="processes of each engine in a row")
    add("--work", type=Path, help="folder to keep the exports in")
    return parser.parse_args()


def main() -> None:
    given = parse()
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary) if given.work is None else given.work.resolve()
        work.mkdir(parents=True, exist_ok=True)
        exports = Exports(
            given.model,
            work,
            llama_python=given.llama_python,
            gguf=None if given.gguf is None else given.gguf.resolve(),
            ours=None if given.bundle is None else given.bundle.resolve(),
        )
        bundle = Bundle.open(exports.bundle())
        tokenizer = Tokenizer.load(bundle.tokenizer_folder)
        sessions = Sessions(tokenizer, bundle.context_length, given.rounds)
        found = []
        for name in given.rows:
            targets = targets_of(name, given.model)
            for engine in {name for t in targets for name in (t.ours, t.theirs)}:
                ENGINES[engine].make(exports)
            row = measure(name, targets, exports, sessions.of(name), given.rounds)
            found += lines(row, targets)
    print(
        f"{machine()}, {find_operators().described()}, model {given.model}, {given.rounds} rounds\n"
    )
    titles = ["row", "ours", "theirs", "ours, tokens/s", "theirs", "ratio", "promised", "holds"]
    print(table(titles, found))


if __name__ == "__main__":
    main()
