"""How often a head is right on the prompts of benchmarks/, asked behind every token.

    python -m benchmarks.studies.draft_accuracy BUNDLE [--draft HEAD ...] [--prompts unseen]

The bundle answers greedily, and reads its answers once more for what its layers compute. Then each
head drafts tokens in a row behind each token of an answer, as if nothing else drafted, and is
compared with the answer. A column is the share of places where the first 1, 2, ... of them are all
right. Places where n-grams are right too are told apart: what a head brings is right at the others.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.harness.figures import table
from benchmarks.harness.prompts import prompt_kinds, prompts_of, unseen_dialogues
from nanoaccel import LLM, SamplingParams
from nanoaccel.bundle import Bundle, Head
from nanoaccel.runtime.config import EngineConfig
from nanoaccel.runtime.execution.loader import open_backend
from nanoaccel.runtime.speculation.drafters import Draft, Drafter
from nanoaccel.runtime.speculation.drafters.base import DrafterOptions, DraftOptions
from nanoaccel.runtime.speculation.drafters.head import HeadDrafter
from nanoaccel.runtime.speculation.drafters.ngram import NgramDrafter
from nanoaccel.runtime.types.packing import BlockLists, SequenceTokens, StepPacker
from nanoaccel.runtime.types.plan import Float32Array, Int64Array

_DEPTH = 3
_CHUNK = 128


@dataclass(slots=True)
class Answer:
    """What the bundle wrote, and what its layers computed.

    Args:
        kind: Kind of its prompt.
        tokens: i64[n], prompt and answer.
        begin: Tokens of the prompt.
        hidden: f32[n, F].
    """

    kind: str
    tokens: Int64Array
    begin: int
    hidden: Float32Array


@dataclass(slots=True)
class Count:
    """Places, and at how many of them the first 1, 2, ... draft tokens are right."""

    places: int = 0
    right: list[int] = field(default_factory=lambda: [0] * _DEPTH)

    def note(self, length: int) -> None:
        """Note a place where so many draft tokens are right."""
        self.places += 1
        for depth in range(length):
            self.right[depth] += 1

    @property
    def cells(self) -> list[str]:
        """The shares."""
        return [f"{right / self.places:.0%}" if self.places else "-" for right in self.right]


def answers(
    bundle: Bundle, asked: dict[str, list[str]], length: int
) -> list[tuple[str, Int64Array, int]]:
    """Greedy answers: the kind, the tokens of prompt and answer, and those of the prompt."""
    prompts = [(kind, text) for kind, texts in asked.items() for text in texts]
    with LLM(bundle.folder, speculation="off") as llm:
        outputs = llm.generate(
            [[{"role": "user", "content": text}] for _, text in prompts],
            SamplingParams(max_tokens=length, temperature=0.0),
        )
    return [
        (
            kind,
            np.array([*out.prompt_token_ids, *out.token_ids], np.int64),
            len(out.prompt_token_ids),
        )
        for (kind, _), out in zip(prompts, outputs, strict=True)
    ]


def read(
    bundle: Bundle, layers: tuple[int, ...], found: Sequence[tuple[str, Int64Array, int]]
) -> Iterator[Answer]:
    """The answers with what the layers computed for each token."""
    backend = open_backend(bundle, bundle.runtime, EngineConfig(), hidden_layers=layers)
    size = backend.info.block_size
    backend.allocate_cache(-(-max(len(tokens) for _, tokens, _ in found) // size))
    for kind, tokens, begin in found:
        hidden = []
        for start in range(0, len(tokens), _CHUNK):
            chunk = tokens[start : start + _CHUNK]
            blocks = BlockLists([range(-(-(start + len(chunk)) // size))])
            result = backend.forward(
                StepPacker().pack([SequenceTokens(0, chunk, start, start, 0, 0)], blocks)
            )
            assert result.hidden is not None
            hidden.append(result.hidden.copy())
        yield Answer(kind, tokens, begin, np.concatenate(hidden))
    backend.close()


def right(drafter: Drafter, answer: Answer) -> Iterator[int]:
    """For each place of an answer, how many draft tokens in a row are right."""
    tokens, begin = answer.tokens, answer.begin
    if isinstance(drafter, HeadDrafter):
        drafter.observe(0, 0, answer.hidden[: begin - 1])
    for end in range(begin, len(tokens) - _DEPTH):
        if isinstance(drafter, HeadDrafter):
            drafter.observe(0, end - 1, answer.hidden[end - 1 : end])
        draft = Draft(0, tokens[: end + 1], _DEPTH, lambda _: 1.0, (0.0,))
        drafter.propose([draft])
        following = tokens[end + 1 : end + 1 + _DEPTH].tolist()
        same = [one == other for one, other in zip(draft.proposed, following, strict=False)]
        yield same.index(False) if False in same else len(same)
    drafter.finish(0, tokens, begin)


def report(found: Sequence[Answer], head: Drafter, ngrams: Drafter) -> str:
    """A row for each kind, and one for all."""
    counts: dict[str, list[Count]] = {}
    for answer in found:
        pairs = list(zip(right(head, answer), right(ngrams, answer), strict=True))
        for kind in (answer.kind, "all"):
            whole, alone = counts.setdefault(kind, [Count(), Count()])
            for own, other in pairs:
                whole.note(own)
                if other == 0:
                    alone.note(own)
    total = counts.pop("all")
    rows = [
        [kind, str(both[0].places), *both[0].cells, str(both[1].places), *both[1].cells]
        for kind, both in [*counts.items(), ("all", total)]
    ]
    depths = [str(depth + 1) for depth in range(_DEPTH)]
    return table(["prompts", "places", *depths, "n-grams wrong", *depths], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--draft", type=Path, nargs="+", help="heads; default: the bundle's own")
    parser.add_argument("--prompts", choices=["own", "unseen"], default="own")
    parser.add_argument("--each", type=int, default=10, help="prompts of a kind at most")
    parser.add_argument("--generate", type=int, default=128)
    given = parser.parse_args()
    bundle = Bundle.open(given.bundle)
    if given.prompts == "unseen":
        asked = {kind: [told[0] for told in all_] for kind, all_ in unseen_dialogues().items()}
    else:
        asked = {kind: prompts_of(kind) for kind in prompt_kinds()}
    asked = {kind: texts[: given.each] for kind, texts in asked.items()}
    drafts = given.draft or [bundle.folder / "draft"]
    layers = Head.open(drafts[0]).manifest.layers
    found = list(read(bundle, layers, answers(bundle, asked, given.generate)))
    vocabulary = max(int(one.tokens.max()) for one in found) + 1
    ngrams = NgramDrafter(DrafterOptions(vocab_size=vocabulary))
    for folder in drafts:
        options = DraftOptions(folder=folder, target=bundle, num_blocks=256, backend=bundle.runtime)
        head = HeadDrafter(DrafterOptions(vocab_size=vocabulary, draft=options))
        print(f"\n{folder}\n\n{report(found, head, ngrams)}")
        head.close()


if __name__ == "__main__":
    main()
