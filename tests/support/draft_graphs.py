"""Drafts that run on the fake backend: a model, and a head that checks what it is fed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from nanoaccel.bundle import HeadManifest
from nanoaccel.runtime.backends.fake import FakeBackend, Rule, scripted
from nanoaccel.runtime.execution.loader import LoadedModel
from nanoaccel.runtime.kv import CacheShape
from nanoaccel.runtime.speculation.drafters import DrafterOptions, draft_model, head
from nanoaccel.runtime.speculation.drafters.draft_graph import DraftGraph
from nanoaccel.runtime.speculation.drafters.draft_model import ModelDrafter
from nanoaccel.runtime.speculation.drafters.head import HeadDrafter
from nanoaccel.runtime.types.plan import Float32Array, Int32Array, StepPlan, StepResult
from nanoaccel.testing.engines import VOCAB_SIZE

# Numbers of the target's state and of the head's own: a token's id and its position.
STATE = 2


def next_of_two(tokens: Sequence[int]) -> int:
    """A token that depends on the last two, so that a head can know it too."""
    return (7 * tokens[-1] + 3 * sum(tokens[-2:]) + 1) % VOCAB_SIZE


def by_two() -> Rule:
    """The rule that writes ``next_of_two``."""
    return scripted(VOCAB_SIZE, next_of_two)


class Draft(FakeBackend):
    """A draft model.

    Attributes:
        passes: For each pass, the tokens of each sequence.
    """

    def __init__(self, rule: Rule | None = None, vocab_size: int = VOCAB_SIZE) -> None:
        super().__init__(by_two() if rule is None else rule, vocab_size)
        self.passes: list[list[list[int]]] = []
        self.closings = 0

    def forward(self, plan: StepPlan) -> StepResult:
        ends = plan.seq_begins[1:]
        self.passes.append(
            [plan.token_ids[b:e].tolist() for b, e in zip(plan.seq_begins, ends, strict=False)]
        )
        return super().forward(plan)

    def close(self) -> None:
        self.closings += 1
        super().close()


@dataclass(frozen=True)
class Fed:
    """A row that a head was fed: a token, where its state is from, and that state."""

    token: int
    position: int
    target: tuple[int, ...]
    own: tuple[int, ...]


class HeadGraph(Draft):
    """A head that guesses ``next_of_two`` of the tokens that it read.

    Its own state is the token that it read and the position after the state's. It asserts that
    each row has the target's state, or its own of the row before.

    Args:
        vocabulary: Tokens that it can guess; the logit behind them stands for all others.

    Attributes:
        fed: All rows.
    """

    def __init__(self, vocabulary: Sequence[int] = tuple(range(VOCAB_SIZE))) -> None:
        places = {token: place for place, token in enumerate(vocabulary)}
        size = len(vocabulary)

        def guess(tokens: Sequence[int]) -> int:
            return places.get(next_of_two(tokens), size)

        super().__init__(scripted(size + 1, guess), size + 1)
        self.fed: list[Fed] = []

    def forward(self, plan: StepPlan) -> StepResult:
        assert plan.features is not None
        assert plan.features.shape == (len(plan.token_ids), 2 * STATE)
        rows = zip(plan.token_ids, plan.positions, plan.features.astype(int), strict=True)
        for token, position, features in rows:
            target, own = tuple(features[:STATE].tolist()), tuple(features[STATE:].tolist())
            assert (target == (0, 0)) or (own == (0, 0)), "states of both"
            assert target[1] == position or own[1] == position, "a state of another position"
            self.fed.append(Fed(int(token), int(position), target, own))
        own_states: Float32Array = np.stack([plan.token_ids, plan.positions + 1], -1, dtype="f4")
        return StepResult(super().forward(plan).logits, hidden=own_states)

    def _check_positions(self, positions: Int32Array, past: int) -> None:  # noqa: ARG002
        assert (np.diff(positions) == 1).all(), "rows that do not follow each other"


def graph_of(backend: Draft, num_blocks: int = 64) -> DraftGraph:
    """A draft's graph with a cache."""
    block_size = backend.info.block_size
    shape = CacheShape(num_blocks=num_blocks, block_size=block_size, length=num_blocks * block_size)
    backend.allocate_cache(num_blocks)
    return DraftGraph(LoadedModel("fake", "fake", backend, shape))


def head_drafter(
    monkeypatch: pytest.MonkeyPatch, graph: HeadGraph, vocabulary: Sequence[int] | None = None
) -> HeadDrafter:
    """A drafter that runs this head."""
    known = tuple(range(VOCAB_SIZE)) if vocabulary is None else tuple(vocabulary)
    manifest = HeadManifest(
        runtime="fake",
        graph="none",
        target="",
        layers=(0,),
        feature_size=STATE,
        hidden_size=STATE,
        vocabulary=known,
        weight_group_size=None,
        training={},
    )
    monkeypatch.setattr(head, "open_head", lambda *_: (manifest, graph_of(graph, num_blocks=128)))
    return HeadDrafter(DrafterOptions(vocab_size=VOCAB_SIZE))


def model_drafter(
    monkeypatch: pytest.MonkeyPatch, graph: Draft, num_blocks: int = 64
) -> ModelDrafter:
    """A drafter that runs this model."""
    monkeypatch.setattr(draft_model, "open_draft_model", lambda _: graph_of(graph, num_blocks))
    return ModelDrafter(DrafterOptions(vocab_size=VOCAB_SIZE))
