"""A backend without a model, for tests and simulations.

It stores the token ids themselves in the cache blocks, with their positions and adapters, and reads
them back through the block table, so that a wrong table, position or length gives a wrong answer,
as it would with a model, or an AssertionError.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from nanoaccel.runtime.backends.base import BackendInfo
from nanoaccel.runtime.types.low_rank import LowRankUpdate
from nanoaccel.runtime.types.plan import Float32Array, Int32Array, StepPlan, StepResult

Rule = Callable[[Sequence[int]], Float32Array]

_STATE_SIZE = 3
# A cell of the cache is a position, and a token whose upper bits are the adapter.
_TOKEN_BITS = 18
_MOST_ADAPTERS = 1 << 12


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
    """Gives ``rule(tokens so far)`` as logits; tokens whose blocks were dropped are not among them.

    With an adapter, a number that its content gives is the first of these tokens.

    Args:
        rule: From all cached tokens of a sequence to logits f32[V].
        vocab_size: V.
        block_size: Tokens in a cache block.
        attention_scores: Give scores: a token draws attention for its id, and the more the nearer.
        hidden_states: Give states: each token's id and its position.

    Attributes:
        rule: As given.
        adaptable: As of ``AdapterHolder``.
    """

    adaptable: Mapping[str, tuple[int, int]] = MappingProxyType(
        {"model.layers.0.q_proj": (4, 3), "model.layers.0.o_proj": (3, 4)}
    )

    def __init__(
        self,
        rule: Rule,
        vocab_size: int,
        block_size: int = 4,
        *,
        attention_scores: bool = False,
        hidden_states: bool = False,
    ) -> None:
        self.rule = rule
        self._attention_scores = attention_scores
        self._hidden_states = hidden_states
        self._cache: Int32Array = np.zeros((0, block_size, 2), np.int32)
        self._adapters: dict[int, int] = {}
        self.block_bytes = 2 * 4 * block_size
        self.info = BackendInfo(
            name="fake",
            device="no model",
            vocab_size=vocab_size,
            block_size=block_size,
            bytes_per_block=self.block_bytes,
            cache_precision="i32",
            threads=1,
            cache_layout=f"fake i32[{block_size},2]",
            state_size=_STATE_SIZE,
        )

    def allocate_cache(self, num_blocks: int) -> None:
        self._cache = np.full((num_blocks, self.info.block_size, 2), -1, np.int32)

    def forward(self, plan: StepPlan) -> StepResult:
        rows = {int(row): index for index, row in enumerate(plan.logits_rows)}
        logits = np.zeros((len(rows), self.info.vocab_size), np.float32)
        scores: list[Float32Array] = []
        states = np.empty((len(plan.token_ids), _STATE_SIZE), np.float32)
        slots = [-1] * len(plan.past_lens) if plan.adapters is None else plan.adapters.tolist()
        for sequence, past in enumerate(plan.past_lens.tolist()):
            adapter = 0 if slots[sequence] < 0 else self._adapters[slots[sequence]]
            begin, end = plan.seq_begins[sequence : sequence + 2].tolist()
            blocks = plan.block_ids[slice(*plan.block_begins[sequence : sequence + 2])]
            for token in range(begin, end):
                block, offset = divmod(past + token - begin, self.info.block_size)
                known = plan.token_ids[token] + (adapter << _TOKEN_BITS)
                self._cache[blocks[block], offset] = known, plan.positions[token]
            history = self._cache[blocks].reshape(-1, 2)[: past + end - begin]
            self._check_positions(history[:, 1], past)
            computed_by, history[:, 0] = np.divmod(history[:, 0], 1 << _TOKEN_BITS)
            written = computed_by >= 0
            assert (computed_by[written] == adapter).all(), "a block that another adapter computed"
            for token in range(begin, end):
                if token in rows:
                    seen = history[: past + token - begin + 1, 0]
                    begun = [] if adapter == 0 else [adapter]
                    logits[rows[token]] = self.rule([*begun, *seen.tolist()])
            states[begin:end] = _states(history)[past:]
            if self._attention_scores:
                scores.append(_attention(history, past))
        hidden = np.stack([plan.token_ids, plan.positions], -1).astype(np.float32)
        return StepResult(
            logits,
            np.concatenate(scores) if self._attention_scores else None,
            hidden if self._hidden_states else None,
            states if plan.states else None,
        )

    def read_block(self, block: int, out: NDArray[np.uint8]) -> None:
        out[:] = self._cache[block].view(np.uint8).reshape(-1)

    def write_block(self, block: int, data: NDArray[np.uint8]) -> None:
        self._cache[block].view(np.uint8).reshape(-1)[:] = data

    def load_adapter(self, slot: int, updates: Mapping[str, LowRankUpdate]) -> None:
        assert slot not in self._adapters, "a slot that is not free"
        digest = 0
        for name, update in sorted(updates.items()):
            assert self.adaptable[name] == (len(update.up), update.down.shape[1])
            digest = zlib.crc32(name.encode() + (update.up @ update.down).tobytes(), digest)
        self._adapters[slot] = 1 + digest % _MOST_ADAPTERS

    def unload_adapter(self, slot: int) -> None:
        del self._adapters[slot]

    def close(self) -> None:
        self._cache = np.zeros((0, self.info.block_size, 2), np.int32)

    def _check_positions(self, positions: Int32Array, past: int) -> None:
        """Assert that the cached tokens are a text of which only full blocks are missing."""
        size = self.info.block_size
        missing = positions - np.arange(len(positions))
        assert missing.min() >= 0, "a block that was never written, or of another sequence"
        assert (np.diff(missing) >= 0).all(), "blocks in another order"
        assert (missing % size == 0).all(), "positions that do not fit the places of the tokens"
        of_blocks = np.repeat(missing[::size], size)[: len(missing)]
        assert (missing == of_blocks).all(), "a gap inside a block"
        assert (missing[past:] == missing[-1]).all(), "a gap between new tokens"


def _states(history: Int32Array) -> Float32Array:
    """Of (token, position) i32[n, 2]: both, from 1, and a sum over all tokens so far."""
    sums = np.cumsum((1 + history[:, 0]) * (1 + history[:, 1]))
    return np.column_stack([1 + history, sums]).astype(np.float32)


def _attention(history: Int32Array, past: int) -> Float32Array:
    """Scores of (token, position) i32[past + new, 2]; those of a query sum to 1."""
    scores = np.zeros(len(history), np.float32)
    for query in range(past, len(history)):
        tokens, positions = history[: query + 1].T
        weights = (1 + tokens % 7) / (1 + positions[-1] - positions)
        scores[: query + 1] += weights / weights.sum()
    return scores
