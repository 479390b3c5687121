"""Texts that are written with guesses, to be compared with those that are written without."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import cast

import numpy as np

from nanoaccel.runtime.backends.fake import Rule, hashed
from nanoaccel.runtime.kv import PagedCache
from nanoaccel.runtime.kv.prefix_cache import PrefixNode
from nanoaccel.runtime.scheduling.request import Request
from nanoaccel.runtime.speculation.drafters import Drafter, DrafterOptions
from nanoaccel.runtime.speculation.drafters.ngram import NgramDrafter
from nanoaccel.runtime.types.outputs import Chunk, TokenLogprobs
from nanoaccel.runtime.types.plan import Float32Array, StepPlan, StepResult
from nanoaccel.testing.drafters import Always, Guesser, knowing, random_tokens, same
from nanoaccel.testing.engines import EOS, VOCAB_SIZE, Bench
from nanoaccel.text import Tokenizer

DRAFTERS = ("ngram", "oracle", "random", "same", "all")


@dataclass
class Job:
    """A request that is yet to be made."""

    prompt: list[int]
    options: Mapping[str, object] = field(default_factory=dict)
    steps_before: int = 0


@dataclass(frozen=True)
class Shape:
    """Of an engine."""

    num_blocks: int = 64
    max_step_tokens: int = 64
    max_running: int = 8


@cache
def _row(key: tuple[int, ...]) -> Float32Array:
    return hashed(VOCAB_SIZE)(key)


def by_all(tokens: Sequence[int]) -> Float32Array:
    """Logits that depend on all tokens."""
    return _row(tuple(tokens))


def by_few(tokens: Sequence[int]) -> Float32Array:
    """Logits of which there are few, so that texts repeat themselves."""
    return _row((tokens[-1] % 5, sum(tokens[-2:]) % 2))


def run(
    tokenizer: Tokenizer,
    jobs: Sequence[Job],
    drafters: Sequence[Drafter] = (),
    *,
    rule: Rule | None = None,
    shape: Shape | None = None,
) -> tuple[Bench, list[Request]]:
    """Play requests to their ends, watching that no step has too many tokens."""
    shape = Shape() if shape is None else shape
    bench = Bench(
        tokenizer,
        by_all if rule is None else rule,
        num_blocks=shape.num_blocks,
        max_step_tokens=shape.max_step_tokens,
        max_running=shape.max_running,
        attention_scores=any(job.options.get("eviction") is not None for job in jobs),
        drafters=drafters,
        controller=Always(),
    )
    forward = bench.backend.forward

    def watched(plan: StepPlan) -> StepResult:
        assert len(plan.token_ids) <= shape.max_step_tokens
        return forward(plan)

    bench.backend.forward = watched  # type: ignore[method-assign]
    requests = []
    for job in jobs:
        for _ in range(job.steps_before):
            bench.step()
        requests.append(bench.submit(job.prompt, **job.options))
    bench.run()
    check_cached_blocks(bench, requests)
    return bench, requests


def check_cached_blocks(bench: Bench, requests: Sequence[Request]) -> None:
    """Assert that what can be found again is the beginning of a text that was written."""
    texts = [request.tokens(0, request.num_known).tolist() for request in requests]
    assert isinstance(bench.cache, PagedCache)
    for node in bench.cache._blocks._prefixes.nodes():
        stored = bench.backend._cache[node.block, :, 0].tolist()
        assert stored == np.frombuffer(node.tokens, "<i4").tolist()
        chain: list[int] = []
        above: PrefixNode = node
        while above.parent is not None:
            chain = np.frombuffer(above.tokens, "<i4").tolist() + chain
            above = above.parent
        assert any(text[: len(chain)] == chain for text in texts)


Piece = tuple[str, tuple[int, ...], tuple[TokenLogprobs, ...], str | None]


def pieces(bench: Bench, request: Request) -> list[Piece]:
    """What a user sees of a text, chunk by chunk."""

    def seen(chunk: Chunk) -> Piece:
        return chunk.text, chunk.token_ids, chunk.logprobs, chunk.finish_reason

    return [seen(chunk) for chunk in bench.chunks[request.id]]


def whole_texts(requests: Sequence[Request]) -> dict[int, list[int]]:
    return {request.id: request.tokens(0, request.num_known).tolist() for request in requests}


def drafters_named(name: str, texts: dict[int, list[int]], seed: int) -> list[Drafter]:
    """New drafters; ``all`` are several at once."""
    options = DrafterOptions(vocab_size=VOCAB_SIZE, corpus_tokens=40 * seed)
    made: dict[str, Drafter] = {
        "ngram": cast(Drafter, NgramDrafter(options)),
        "oracle": Guesser(knowing(texts, (0.5, 0.8, 0.95, 1.0)[seed], seed), name="oracle"),
        "random": Guesser(random_tokens(VOCAB_SIZE, seed), name="random", prior=0.5),
        "same": Guesser(same(EOS if seed == 0 else seed), name="same"),
    }
    return list(made.values()) if name == "all" else [made[name]]
