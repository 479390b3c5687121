"""What every drafter promises: the built-in ones, and those that packages add."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support import tiny_models
from support.drafters import Always

from nanoaccel import LLM, RequestOptions, SamplingParams
from nanoaccel.bundle import Bundle
from nanoaccel.registry import DRAFTERS
from nanoaccel.runtime.engine import assembly as loading
from nanoaccel.runtime.speculation.drafters import (
    Draft,
    Drafter,
    DrafterContext,
    DrafterOptions,
    DraftOptions,
    StateReader,
)

pytestmark = pytest.mark.export

VOCAB_SIZE = tiny_models.VOCAB_SIZE
TEXT = [7, 8, 9, 10, 7, 8, 9, 10, 7, 8]


def draft_folder(name: str, tiny_bundle: Path, tiny_head: Path) -> Path | None:
    """What a drafter runs; the tiny model itself is a good draft of the tiny model."""
    target, factory = Bundle.open(tiny_bundle), DRAFTERS.resolve(name)
    folders = (None, tiny_bundle, tiny_head)
    return next(
        folder for folder in folders if factory.applies(DrafterContext(target=target, draft=folder))
    )


@pytest.fixture(params=DRAFTERS.names())
def name(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


@pytest.fixture
def drafter(name: str, tiny_bundle: Path, tiny_head: Path) -> Iterator[Drafter]:
    folder = draft_folder(name, tiny_bundle, tiny_head)
    target = Bundle.open(tiny_bundle)
    given = None if folder is None else DraftOptions(folder=folder, target=target, num_blocks=16)
    made: Drafter = DRAFTERS.resolve(name)(DrafterOptions(vocab_size=VOCAB_SIZE, draft=given))
    yield made
    made.close()


def propose(drafter: Drafter, texts: dict[int, list[int]], limit: int = 4) -> dict[int, Draft]:
    """Guesses for several requests, whose states a drafter that reads them is shown."""
    drafts = {
        number: Draft(number, np.array(text), limit, lambda _: 0.9, (0.0,))
        for number, text in texts.items()
    }
    if isinstance(drafter, StateReader):
        for number, text in texts.items():
            states = np.random.default_rng(number).standard_normal((len(text) - 1, 2 * 64))
            drafter.observe(number, 0, states.astype(np.float32))
    drafter.propose(list(drafts.values()))
    return drafts


def test_drafter_says_what_it_is(drafter: Drafter, name: str) -> None:
    assert drafter.name == name
    assert all(0 < prior < 1 for prior in drafter.priors)


def test_drafter_guesses_tokens_of_the_model_with_known_evidence(drafter: Drafter) -> None:
    found = propose(drafter, {1: TEXT, 2: TEXT[:3], 3: [5]})
    assert found[1].proposed
    for draft in found.values():
        assert len(draft.proposed) <= 4
        assert all(0 <= token < VOCAB_SIZE for token in draft.proposed)
        assert all(0 <= level < len(drafter.priors) for level in draft.buckets)


def test_drafter_guesses_for_one_request_what_it_guesses_for_many(drafter: Drafter) -> None:
    together = propose(drafter, {1: TEXT, 2: TEXT[2:]})
    for number in (1, 2):
        drafter.finish(number, np.array(TEXT), 2)
    alone = propose(drafter, {1: TEXT})
    assert alone[1].proposed == together[1].proposed


def test_drafter_forgets_what_it_never_saw_and_closes_twice(drafter: Drafter) -> None:
    drafter.finish(99, np.array(TEXT), 2)
    drafter.close()
    drafter.close()


@pytest.mark.parametrize("bundle", ["tiny_bundle", "tiny_onnx_bundle"])
def test_drafter_leaves_every_text_as_it_is(
    name: str,
    bundle: str,
    tiny_bundle: Path,
    tiny_head: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    target: Path = request.getfixturevalue(bundle)
    monkeypatch.setattr(loading, "Controller", lambda _, pad: Always(pad))
    folder = draft_folder(name, tiny_bundle, tiny_head)
    random = np.random.default_rng(3)
    prompts = [random.integers(3, VOCAB_SIZE, length).tolist() for length in (1, 33, 90, 5)]
    ways = [
        SamplingParams(max_tokens=40, ignore_eos=True),
        SamplingParams(max_tokens=40, ignore_eos=True, temperature=0.8, top_p=0.9, seed=2),
    ]
    with LLM(target, draft=folder, speculation=name, precision="f32") as llm:
        for way in ways:
            plain = llm.generate(prompts, way, RequestOptions(speculation="off"))
            for batch in (1, 2, 4):
                for start in range(0, 4, batch):
                    group = slice(start, start + batch)
                    found = llm.generate(prompts[group], way)
                    assert [o.token_ids for o in found] == [o.token_ids for o in plain[group]]
        counters = llm.counters().speculation
    assert counters.drafted_tokens > 100
