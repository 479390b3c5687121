"""What sharing of prefixes saves, by eviction policy and cache size.

    python -m benchmarks.studies.prefix_cache

Four made-up traces are replayed, one request after the other. Bookkeeping only: no model runs.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from benchmarks.harness.figures import table_head, table_row
from nanoaccel.registry import EVICTION_POLICIES
from nanoaccel.runtime.kv import EvictionPolicy, PagedCache
from nanoaccel.runtime.types.plan import Int64Array

VOCAB_SIZE = 50_000
BLOCK_SIZE = 32
SIZES = (96, 192, 384, 768)


class Request(NamedTuple):
    """Tokens that came in, and tokens that went out."""

    prompt: Int64Array
    answer: Int64Array


class Text:
    """Random tokens of random lengths, the same in each run."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)

    def __call__(self, least: int, most: int) -> Int64Array:
        return self.random.integers(0, VOCAB_SIZE, self.random.integers(least, most + 1))


def shared_system_prompt(text: Text) -> Iterator[Request]:
    """One assistant: the same 512 tokens, then a question that nobody asked before."""
    system = text(512, 512)
    for _ in range(400):
        yield Request(np.concatenate([system, text(32, 256)]), text(32, 128))


def multi_turn_chat(text: Text) -> Iterator[Request]:
    """Forty conversations of eight turns, mixed; each turn sends the whole conversation again."""
    histories = [text(0, 0)] * 40
    for speaker in text.random.permutation(np.repeat(np.arange(40), 8)):
        prompt = np.concatenate([histories[speaker], text(20, 120)])
        answer = text(40, 160)
        histories[speaker] = np.concatenate([prompt, answer])
        yield Request(prompt, answer)


def few_shot_templates(text: Text) -> Iterator[Request]:
    """Twenty-four sets of examples, some far more popular than others (Zipf), short questions."""
    templates = [text(400, 1400) for _ in range(24)]
    popularity = 1 / np.arange(1, 25)
    popularity /= popularity.sum()
    for chosen in text.random.choice(24, 600, p=popularity):
        yield Request(np.concatenate([templates[chosen], text(16, 64)]), text(8, 32))


def unrelated_prompts(text: Text) -> Iterator[Request]:
    """Nothing in common."""
    for _ in range(300):
        yield Request(text(128, 768), text(32, 128))


TRACES: dict[str, Callable[[Text], Iterator[Request]]] = {
    "shared system prompt": shared_system_prompt,
    "multi-turn chat": multi_turn_chat,
    "few-shot templates": few_shot_templates,
    "unrelated prompts": unrelated_prompts,
}


def requests(trace: str) -> list[Request]:
    """All requests of a trace."""
    return list(TRACES[trace](Text(seed=1)))


def hit_rate(trace: list[Request], num_blocks: int, policy: EvictionPolicy) -> float:
    """Share of the prompts' tokens that need not be computed."""
    cache = PagedCache(num_blocks, BLOCK_SIZE, policy=policy)
    for sequence, request in enumerate(trace):
        tokens = np.concatenate(request)
        admitted = cache.admit(sequence, request.prompt, 0)
        if admitted is None or not cache.allocate(sequence, len(tokens)):
            raise SystemExit(f"{num_blocks} blocks do not hold a request of {len(tokens)} tokens")
        cache.commit(sequence, tokens[:-1])  # the last token is never fed back
        cache.free(sequence)
    return cache.stats.hit_tokens / cache.stats.queried_tokens


def unlimited(trace: list[Request]) -> int:
    """Blocks enough to forget nothing."""
    return sum(-(-(len(prompt) + len(answer) + 1) // BLOCK_SIZE) for prompt, answer in trace)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--blocks", type=int, nargs="+", default=SIZES, metavar="N")
    sizes = parser.parse_args().blocks
    policies = {name: EVICTION_POLICIES.resolve(name) for name in EVICTION_POLICIES.names()}
    print(f"Share of prompt tokens not computed; blocks of {BLOCK_SIZE} tokens\n")
    print(table_head(["trace", "blocks", *policies, "unlimited"]))
    for name in TRACES:
        trace = requests(name)
        bound = hit_rate(trace, unlimited(trace), policies["lru"]())
        for size in sizes:
            rates = [hit_rate(trace, size, policy()) for policy in policies.values()]
            print(table_row([name, size, *(f"{rate:.1%}" for rate in [*rates, bound])]))


if __name__ == "__main__":
    main()
