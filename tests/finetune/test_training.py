"""A head learns, is judged, and goes on learning after it was stopped."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.training_examples import make_example

torch = pytest.importorskip("torch")

from support.small_heads import small_shape  # noqa: E402

from nanoaccel.finetune.drafts.batches import Batch, collate, plan_batches  # noqa: E402
from nanoaccel.finetune.drafts.draft_module import DraftModule  # noqa: E402
from nanoaccel.finetune.drafts.head import DraftHead  # noqa: E402
from nanoaccel.finetune.drafts.judging import split, survival  # noqa: E402
from nanoaccel.finetune.drafts.training import TrainingOptions, train  # noqa: E402

pytestmark = pytest.mark.export

VOCAB_SIZE = 16
SHAPE = small_shape(VOCAB_SIZE)
EXAMPLES = [make_example(seed, 24, width=64, vocab_size=VOCAB_SIZE, prompt=3) for seed in range(60)]
OPTIONS = TrainingOptions(epochs=250, depth=3)


def new_head() -> DraftHead:
    torch.manual_seed(0)
    return DraftHead(SHAPE)


def test_collate_puts_what_follows_beside_each_token() -> None:
    one, other = EXAMPLES[0], make_example(1, 9, width=64, vocab_size=VOCAB_SIZE)
    batch = collate([one, other])
    assert batch.tokens.shape == (2, 23)
    assert batch.first.tolist() == [one.tokens[0], other.tokens[0]]
    assert batch.tokens[1, :8].tolist() == other.tokens[1:].tolist()
    assert batch.features[1, :8].numpy() == pytest.approx(other.features[:-1])
    assert batch.likeliest[1, :8].tolist() == other.likeliest[1:].tolist()
    assert not batch.taught[1, 7:].any()


def test_plan_batches_takes_each_example_once_and_another_order_each_time() -> None:
    plans = [plan_batches(EXAMPLES, 0, epoch) for epoch in (0, 0, 1)]
    assert sorted(place for batch in plans[0] for place in batch) == list(range(60))
    assert plans[0] == plans[1] != plans[2]


def test_train_teaches_a_head_to_guess(tmp_path: Path) -> None:
    head = new_head()
    head.rate = 6e-3
    taught, held = split(EXAMPLES)
    assert (len(taught), len(held)) == (57, 3)
    before = survival(head, held, 3)
    told: list[float] = []
    train(head, taught, OPTIONS, tmp_path / "checkpoint.pt", told.append)
    assert told == sorted(told)
    assert told[-1] == 1.0
    after = survival(head, held, 3)
    assert before[0] < 0.3
    assert after[0] > 0.95
    assert after[1] > 0.9


def test_train_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    options = TrainingOptions(epochs=6, depth=2)
    whole, stopped = new_head(), new_head()
    train(whole, EXAMPLES, options, tmp_path / "whole.pt", lambda _: None)

    def stop(done: float) -> None:
        if done > 0.6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(stopped, EXAMPLES, options, tmp_path / "stopped.pt", stop, save_seconds=-1.0)
    again, told = new_head(), []
    train(again, EXAMPLES, options, tmp_path / "stopped.pt", told.append)
    assert told[0] > 0.5
    for one, other in zip(whole.parameters(), again.parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def test_train_begins_anew_with_other_options(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    train(new_head(), EXAMPLES, TrainingOptions(epochs=1), path, lambda _: None)
    told: list[float] = []
    train(new_head(), EXAMPLES, TrainingOptions(epochs=2), path, told.append)
    assert told[0] < 0.6


class Parrot(DraftModule):
    """Guesses rightly at the first depth, and behind that always the same."""

    rate = 0.0

    def states(self, batch: Batch, depth: int) -> Iterator[torch.Tensor]:
        yield torch.nn.functional.one_hot((5 * batch.tokens + 1) % VOCAB_SIZE, VOCAB_SIZE)
        for _ in range(depth - 1):
            yield torch.nn.functional.one_hot(torch.full_like(batch.tokens, 3), VOCAB_SIZE)

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        return x.float()


def test_survival_counts_drafts_whose_guesses_are_all_right() -> None:
    # Each 16 tokens go through all values once, so the later draft token is right once in 16.
    examples = [make_example(seed, 18, width=64, vocab_size=VOCAB_SIZE) for seed in range(4)]
    first, second, third = survival(Parrot(), examples, 3)
    assert first == 1.0
    assert second == pytest.approx(1 / 15, abs=0.01)
    assert third == 0.0
