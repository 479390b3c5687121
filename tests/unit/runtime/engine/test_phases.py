from __future__ import annotations

from pathlib import Path

import pytest

from nanoaccel.runtime.engine.phases import PHASES
from nanoaccel.runtime.types.plan import StepPlan
from nanoaccel.testing.engines import Bench, letter_tokenizer
from nanoaccel.text import Tokenizer


class Notes:
    """A ``StepObserver`` that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def begin_step(self) -> None:
        self.told.append("[")

    def begin(self, phase: str) -> None:
        self.told.append(phase)

    def planned(self, plan: StepPlan) -> None:
        self.told.append(f"{len(plan.token_ids)} tokens")

    def end_step(self) -> None:
        self.told.append("]")


@pytest.fixture
def tokenizer(tmp_path: Path) -> Tokenizer:
    return letter_tokenizer(tmp_path)


def test_observer_is_told_the_phases_of_a_step_in_order(tokenizer: Tokenizer) -> None:
    bench = Bench(tokenizer)
    bench.engine.observer = notes = Notes()
    bench.submit([1, 2, 3], max_tokens=1, ignore_eos=True)
    bench.run()
    assert notes.told == [
        *("[", "schedule", "draft", "other", "3 tokens", "forward", "other"),
        *("sample", "verify", "detokenize", "draft", "other", "draft", "]"),
    ]
    assert {*notes.told} & {*PHASES} == {*PHASES}


def test_observer_is_told_the_end_of_a_step_that_fails(tokenizer: Tokenizer) -> None:
    def broken() -> None:
        raise ZeroDivisionError

    bench = Bench(tokenizer)
    bench.engine.observer = notes = Notes()
    bench.submit([1], max_tokens=1)
    bench.scheduler.schedule = broken  # type: ignore[method-assign, assignment]
    with pytest.raises(ZeroDivisionError):
        bench.engine.step()
    assert notes.told == ["[", "schedule", "]"]
