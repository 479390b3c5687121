"""Random schedules of a model: how it is opened, what is asked of it, and when."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nanoaccel import LLM, RequestOptions, SamplingParams
from nanoaccel.runtime.engine.metrics import Counters
from nanoaccel.runtime.speculation.drafters import Draft, DrafterOptions
from nanoaccel.runtime.types.outputs import Chunk
from nanoaccel.runtime.types.plan import Int64Array
from nanoaccel.testing import tiny_models

CACHES = ("auto", "u8")
ADVERSARY = "adversary"
_WAYS: tuple[dict[str, Any], ...] = (
    {},
    {"logprobs": 2},
    {"temperature": 0.9, "top_p": 0.9, "seed": 3, "logprobs": 0},
    {"temperature": 1.3, "top_k": 20, "min_p": 0.01, "seed": 4, "n": 2},
    {"repetition_penalty": 1.3, "presence_penalty": 0.4, "logprobs": 1},
)
_BEGINS = 3  # of prompts that several share
_LONGEST = 150
_MOST_TOKENS = 40
_NEVER = 1 << 30


@dataclass(frozen=True, slots=True)
class Ask:
    """A prompt, and how it is continued."""

    prompt: tuple[int, ...]
    params: SamplingParams


@dataclass(frozen=True, slots=True)
class Written:
    """What a completion is, or as much of it as came: tokens, and all that was told of each."""

    token_ids: tuple[int, ...]
    logprobs: tuple[Any, ...]

    def begins(self, whole: Written) -> bool:
        """Whether this is the beginning of another, bit for bit."""
        tokens, told = len(self.token_ids), len(self.logprobs)
        return self == Written(whole.token_ids[:tokens], whole.logprobs[:told])


def make_asks(count: int, seed: int = 0) -> list[Ask]:
    """Prompts of all lengths, some of which begin the same, with all ways to sample."""
    draw = random.Random(seed)

    def tokens(size: int) -> tuple[int, ...]:
        return tuple(draw.choices(range(3, tiny_models.VOCAB_SIZE), k=size))

    begins = [tokens(draw.randint(30, 100)) for _ in range(_BEGINS)]
    asks = []
    for number in range(count):
        begin = draw.choice(begins) if draw.random() < 0.5 else ()
        prompt = begin + tokens(draw.choice([1, 2, 9, 31, 32, 33, _LONGEST - len(begin)]))
        most, ignores = draw.randint(1, _MOST_TOKENS), draw.random() < 0.8
        way = _WAYS[number % len(_WAYS)]
        asks.append(Ask(prompt, SamplingParams(max_tokens=most, ignore_eos=ignores, **way)))
    return asks


def write_alone(llm: LLM, asks: Sequence[Ask]) -> list[list[Written]]:
    """What each gives when nothing else runs, by completion."""
    outputs = [llm.generate(list(ask.prompt), ask.params) for ask in asks]
    return [[Written(c.token_ids, c.logprobs) for c in output.completions] for output in outputs]


@dataclass(frozen=True, slots=True)
class Setup:
    """How a model is opened.

    Args:
        options: Arguments of ``LLM`` but for the cache's size.
        blocks: Blocks of the cache; None is more than all need.
    """

    options: dict[str, Any]
    blocks: int | None

    @classmethod
    def draw(cls, random: random.Random, folder: Path) -> Setup:
        """Any one.

        Args:
            random: The dice.
            folder: Folder of the disk tiers, which later setups find again.
        """
        caches = random.random() < 0.8
        precision = random.choice(CACHES)
        options: dict[str, Any] = {
            "cache_precision": precision,
            "speculation": random.choice(["off", "ngram", ADVERSARY, ADVERSARY]),
            "max_step_tokens": random.choice([1, 7, 32, 128, 512]),
            "max_running": random.choice([1, 3, 8, 32]),
            "time_per_token": random.choice([None, None, 1e-4]),
            "threads": random.choice([1, 2]),
            "prefix_cache": caches,
            "eviction_policy": random.choice(["lru", "lfu", "cost"]),
        }
        if caches and random.random() < 0.6:
            options["prompt_cache"] = folder / precision
        longest = -(-(2 * _LONGEST + _MOST_TOKENS) // 32)
        return cls(options, random.choice([None, longest, longest + 3]))

    def open(self, bundle: Path, block_bytes: int) -> LLM:
        """Open a bundle so."""
        blocks = 400 if self.blocks is None else self.blocks
        return LLM(bundle, kv_cache_memory=blocks * block_bytes, tuned=False, **self.options)


def play(llm: LLM, asks: Sequence[Ask], random: random.Random) -> list[list[Written]]:
    """Ask at random times, and cancel some; gives what came, by request and completion."""
    streams = []
    for ask in asks:
        options = RequestOptions(
            priority=random.choice([0, 0, 1]), speculation=random.choice(["auto", "auto", "off"])
        )
        streams.append(llm.stream(list(ask.prompt), ask.params, options))
        if random.random() < 0.5:
            time.sleep(random.uniform(0, 0.004))
    found = []
    for ask, stream in zip(asks, streams, strict=True):
        left = random.randint(0, 20) if random.random() < 0.15 else _NEVER
        chunks = []
        with stream:
            for chunk in stream:
                chunks.append(chunk)
                if len(chunks) > left:
                    break
        found.append([_joined(chunks, index) for index in range(ask.params.n)])
    return found


def _joined(chunks: Sequence[Chunk], index: int) -> Written:
    own = [chunk for chunk in chunks if chunk.index == index]
    return Written(
        tuple(token for chunk in own for token in chunk.token_ids),
        tuple(told for chunk in own for told in chunk.logprobs),
    )


@dataclass(slots=True)
class Coverage:
    """What schedules went through, so that a suite can tell that it tried all of it."""

    preemptions: int = 0
    hit_tokens: int = 0
    restored_tokens: int = 0
    accepted: int = 0
    rejected: int = 0
    cancelled: int = 0

    def add(self, counters: Counters) -> None:
        """Note what an engine did in its life."""
        self.preemptions += counters.preemptions
        self.hit_tokens += counters.hit_tokens
        self.restored_tokens += counters.restored_tokens
        drafts = counters.speculation
        self.accepted += drafts.accepted_tokens
        self.rejected += drafts.drafted_tokens - drafts.accepted_tokens
        self.cancelled += counters.finished["cancelled"]


@dataclass(slots=True)
class Known:
    """Texts that the adversary may guess from, by prompt."""

    texts: dict[tuple[int, ...], tuple[int, ...]] = field(default_factory=dict)


known = Known()


class Adversary:
    """A drafter that guesses what it knows to be right, something else, or nothing."""

    name = ADVERSARY
    is_free = True

    def __init__(self, options: DrafterOptions) -> None:
        self.priors = (0.5,) * 12
        self._vocab_size = options.vocab_size
        self._random = random.Random(0)
        self._prompts: dict[int, tuple[int, ...]] = {}

    def propose(self, drafts: Sequence[Draft]) -> None:
        for draft in drafts:
            tokens = tuple(draft.tokens.tolist())
            prompt = self._prompts.setdefault(draft.request_id, tokens)
            rest = known.texts.get(prompt, ())[len(tokens) - len(prompt) :]
            right = self._random.choice([0.0, 0.7, 1.0])
            for place in range(self._random.randint(0, 12)):
                told = place < len(rest) and self._random.random() < right
                token = rest[place] if told else self._random.randrange(self._vocab_size)
                if not draft.add(token, place):
                    break

    def finish(self, request_id: int, tokens: Int64Array, num_prompt: int) -> None:  # noqa: ARG002
        self._prompts.pop(request_id, None)

    def close(self) -> None:
        self._prompts.clear()
