"""With NanoAccel's operators, greedy texts are the same in any way to ask for them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.studies.same_texts import ALONE, WAYS, Asker, Outcome, Way
from nanoaccel.runtime.engine import assembly
from nanoaccel.runtime.native import find_operators
from nanoaccel.testing import tiny_models
from nanoaccel.testing.drafters import Always

pytest.importorskip("torch")

OPERATORS = find_operators()
pytestmark = [
    pytest.mark.export,
    pytest.mark.skipif(OPERATORS.library is None, reason=OPERATORS.reason),
]
PROMPTS = 200
# Each in a way of its own: so a way that does nothing special would be seen.
SPECIAL = {
    "alone, speculation": lambda c: c.speculation.accepted_tokens,
    "16 at once, speculation": lambda c: c.speculation.accepted_tokens,
    "16 at once, preempted": lambda c: c.preemptions,
    "16 at once, from disk after a restart": lambda c: c.restored_tokens,
}


@pytest.fixture(scope="module", autouse=True)
def all_guesses_are_checked() -> Iterator[None]:
    """Whatever passes take here: else the machine's speed decides which are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(assembly, "Controller", lambda _, pad: Always(pad))
        yield


@pytest.fixture(scope="module")
def asker(tiny_int4_bundle: Path) -> Asker:
    draw = random.Random(0)
    vocabulary = range(3, tiny_models.VOCAB_SIZE)
    prompts = [draw.choices(vocabulary, k=draw.randint(1, 80)) for _ in range(PROMPTS)]
    return Asker(tiny_int4_bundle, "onnx", prompts, generate=24)


@pytest.fixture(scope="module")
def alone(asker: Asker) -> Outcome:
    return asker.answer(ALONE)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_greedy_texts_are_the_same_in_any_way(way: Way, asker: Asker, alone: Outcome) -> None:
    outcome = asker.answer(way)
    assert outcome.texts == alone.texts
    if way.name in SPECIAL:
        assert SPECIAL[way.name](outcome.counters) > 0
