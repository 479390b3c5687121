"""The passes that an engine makes: few tokens of one sequence, one of each of several, a prompt."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nanoaccel.runtime.types.packing import even_plan
from nanoaccel.runtime.types.plan import StepPlan

BLOCK = 32  # tokens
LONG_PASS = 64  # tokens from which on a pass is a prompt's, and only its last token has logits


@dataclass(frozen=True, slots=True)
class Case:
    """A pass.

    Args:
        name: In words.
        sequences: Sequences in it.
        tokens: Tokens of each.
        past: Tokens that each has in the cache.
    """

    name: str
    sequences: int
    tokens: int
    past: int

    @property
    def is_prompt(self) -> bool:
        """Whether only the last token has logits."""
        return self.tokens >= LONG_PASS

    def token_ids(self, vocabulary: int) -> list[list[int]]:
        """Random tokens, by sequence."""
        random = np.random.default_rng(0)
        ids = random.integers(0, vocabulary, (self.sequences, self.tokens))
        return [list(map(int, row)) for row in ids]

    def plan(self, slot_blocks: int, vocabulary: int) -> StepPlan:
        """The pass on a backend.

        Args:
            slot_blocks: Blocks of the cache from the begin of one sequence to the next.
            vocabulary: Tokens that there are.
        """
        blocks = -(-(self.past + self.tokens) // BLOCK)
        tables = [
            list(range(s * slot_blocks, s * slot_blocks + blocks)) for s in range(self.sequences)
        ]
        plan = even_plan(tables, self.past, self.tokens, all_rows=not self.is_prompt)
        plan.token_ids[:] = np.concatenate(self.token_ids(vocabulary))
        return plan


def cases(past: int, long: int) -> list[Case]:
    """What a whole-pass benchmark measures.

    Args:
        past: Tokens behind which short passes stand.
        long: Tokens of a long text.
    """
    one = [Case(f"{n} of one sequence", 1, n, past) for n in (1, 2, 4, 8, 12)]
    several = [Case(f"{n} sequences", n, 1, past) for n in (8, 16)]
    return [*one, *several, Case("prompt of 512", 1, 512, 0), Case(f"1 behind {long}", 1, 1, long)]
