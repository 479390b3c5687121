"""Whether greedy texts are the same in any company, with drafts or without, and after restarts.

    python -m benchmarks.studies.same_texts BUNDLE [--backend onnx] [--prompts 200] [--generate 48]

The texts that prompts get one at a time without speculation are compared, token by token, with what
the same prompts get in other ways. Prompts are those of benchmarks/prompts as a chat, then the same
as texts to continue, then random tokens. The exit code is 1 when a text differs.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from benchmarks.harness.figures import table
from benchmarks.harness.loads import random_tokens
from benchmarks.harness.machine import machine
from benchmarks.harness.prompts import encode_prompt, prompt_kinds, prompts_of
from nanoaccel import LLM, SamplingParams
from nanoaccel.runtime.engine.metrics import Counters
from nanoaccel.runtime.native import find_operators

Texts = list[tuple[int, ...]]
_AT_ONCE = 16
_PLAIN = {"speculation": "off", "prefix_cache": False}
_LENGTHS = (1, 300)  # of random prompts


@dataclass(frozen=True, slots=True)
class Way:
    """How prompts are answered.

    Args:
        name: In words.
        at_once: Prompts that are asked together.
        options: Arguments of ``LLM``.
        small: Whether the cache is so small that requests give it up to each other.
        restarts: Whether another process's cache is found on disk.
    """

    name: str
    at_once: int
    options: dict[str, Any] = field(default_factory=dict)
    small: bool = False
    restarts: bool = False


ALONE = Way("alone, plain", 1, _PLAIN)
WAYS = (
    Way("alone, speculation", 1, {"prefix_cache": False}),
    Way(f"{_AT_ONCE} at once, plain", _AT_ONCE, _PLAIN),
    Way(f"{_AT_ONCE} at once, speculation", _AT_ONCE, {"prefix_cache": False}),
    Way(f"{_AT_ONCE} at once, preempted", _AT_ONCE, small=True),
    Way(f"{_AT_ONCE} at once, from disk after a restart", _AT_ONCE, restarts=True),
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Texts of a way, and what the engine counted meanwhile."""

    texts: Texts
    counters: Counters


@dataclass(frozen=True, slots=True)
class Asker:
    """A bundle and its prompts.

    Args:
        bundle: Its folder.
        backend: Name of one.
        prompts: Token ids.
        generate: Tokens of an answer at most.
    """

    bundle: Path
    backend: str
    prompts: Sequence[Sequence[int]]
    generate: int

    def answer(self, way: Way) -> Outcome:
        """Answer all prompts in a way."""
        options = dict(way.options)
        if way.small:
            options["kv_cache_memory"] = self._small_cache()
        if not way.restarts:
            return self._run(way, options)
        with tempfile.TemporaryDirectory() as folder:
            options["prompt_cache"] = folder
            self._run(way, options)
            return self._run(way, options)

    def _run(self, way: Way, options: dict[str, Any]) -> Outcome:
        params = SamplingParams(max_tokens=self.generate, temperature=0.0)
        texts: Texts = []
        with LLM(self.bundle, backend=self.backend, replicas=1, **options) as llm:
            for begin in range(0, len(self.prompts), way.at_once):
                group = [list(ids) for ids in self.prompts[begin : begin + way.at_once]]
                texts += [output.token_ids for output in llm.generate(group, params)]
            return Outcome(texts, llm.counters())

    def _small_cache(self) -> int:
        """Bytes that hold the longest request and little more."""
        with LLM(self.bundle, backend=self.backend, replicas=1, speculation="off") as llm:
            info = llm.backend
        longest = max(map(len, self.prompts)) + self.generate
        return (-(-longest // info.block_size) + 2) * info.bytes_per_block


def make_prompts(bundle: Path, count: int) -> list[list[int]]:
    """Chats, texts to continue, then random tokens."""
    with LLM(bundle, replicas=1, speculation="off") as llm:
        tokenizer = llm.tokenizer
    texts = [text for kind in prompt_kinds() for text in prompts_of(kind)]
    chats = [encode_prompt(tokenizer, text) for text in texts]
    continued = [tokenizer.encode(text) for text in texts]
    draw = random.Random(0)
    known = [*chats, *continued]
    others = [random_tokens(draw, draw.randint(*_LENGTHS)) for _ in range(count - len(known))]
    return list(islice([*known, *others], count))


def row(way: Way, outcome: Outcome, wanted: Texts) -> list[object]:
    """What a way gave, for a table."""
    counters = outcome.counters
    same = sum(a == b for a, b in zip(outcome.texts, wanted, strict=True))
    drafts = counters.speculation
    accepted = f"{drafts.accepted_tokens} of {drafts.drafted_tokens}"
    hits = [counters.hit_tokens, counters.restored_tokens]
    return [way.name, f"{same} of {len(wanted)}", accepted, counters.preemptions, *hits]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--backend", default="onnx")
    parser.add_argument("--prompts", type=int, default=200)
    parser.add_argument("--generate", type=int, default=48, help="tokens of an answer at most")
    given = parser.parse_args()
    prompts = make_prompts(given.bundle, given.prompts)
    asker = Asker(given.bundle, given.backend, prompts, given.generate)
    wanted = asker.answer(ALONE).texts
    rows, same = [], True
    for way in WAYS:
        outcome = asker.answer(way)
        rows.append(row(way, outcome, wanted))
        same &= outcome.texts == wanted
        print(" | ".join(map(str, rows[-1])), file=sys.stderr)
    tokens = sum(map(len, wanted))
    print(f"{machine()}, operators: {find_operators().described()}, {tokens} tokens\n")
    titles = ["way", "texts equal", "drafts accepted", "preemptions", "tokens found", "of disk"]
    print(table(titles, rows))
    sys.exit(0 if same else 1)


if __name__ == "__main__":
    main()
