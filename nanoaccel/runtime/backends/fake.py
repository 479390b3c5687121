"""A backend without a model, for tests and simulations.

It stores the token ids themselves in the cache blocks and reads them back through the block
table, so that a wrong table, position or length gives a wrong answer, as it would with a model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from nanoaccel.runtime.backends.base import BackendInfo
from nanoaccel.runtime.plan import Float32Array, Int32Array, StepPlan, StepResult

Rule = Callable[[Sequence[int]], Float32Array]


def scripted(vocab_size: int, script: Callable[[Sequence[int]], int]) -> Rule:
    """A rule whose likeliest next token is ``script(tokens so far)``."""

    def rule(tokens: Sequence[int]) -> Float32Array:
        logits = np.zeros(vocab_size, np.float32)
        logits[script(tokens)] = 10.0
        return logits

    return rule


def hashed(vocab_size: int, scale: float = 3.0) -> Rule:
    """A rule that draws random-looking logits from all tokens so far."""

    def rule(tokens: Sequence[int]) -> Float32Array:
        digest = np.random.SeedSequence([len(tokens), *tokens])
        return np.random.default_rng(digest).normal(0, scale, vocab_size).astype(np.float32)

    return rule


class FakeBackend:
    """Gives ``rule(tokens so far)`` as logits.

    Args:
        rule: From all tokens of a sequence to logits f32[V].
        vocab_size: V.
        block_size: Tokens in a cache block.
    """

    def __init__(self, rule: Rule, vocab_size: int, block_size: int = 4) -> None:
        self._rule = rule
        self._cache: Int32Array = np.zeros((0, block_size), np.int32)
        self.info = BackendInfo(
            "fake", "no model", vocab_size, block_size, block_size * 4, "i32", 1
        )

    def allocate_cache(self, num_blocks: int) -> None:
        self._cache = np.full((num_blocks, self.info.block_size), -1, np.int32)

    def forward(self, plan: StepPlan) -> StepResult:
        rows = {int(row): place for place, row in enumerate(plan.logits_rows)}
        logits = np.zeros((len(rows), self.info.vocab_size), np.float32)
        for sequence in range(len(plan.past_lens)):
            begin, end = plan.seq_begins[sequence : sequence + 2]
            blocks = plan.block_ids[slice(*plan.block_begins[sequence : sequence + 2])]
            past = int(plan.past_lens[sequence])
            assert list(plan.positions[begin:end]) == list(range(past, past + end - begin))
            for token in range(begin, end):
                block, offset = divmod(int(plan.positions[token]), self.info.block_size)
                self._cache[blocks[block], offset] = plan.token_ids[token]
            history = self._cache[blocks].ravel()
            for token in range(begin, end):
                if token in rows:
                    seen = history[: plan.positions[token] + 1]
                    logits[rows[token]] = self._rule(seen.tolist())
        return StepResult(logits)

    def close(self) -> None:
        self._cache = np.zeros((0, self.info.block_size), np.int32)
