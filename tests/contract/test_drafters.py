"""The contract of drafters, over the built-in ones and those that packages add."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nanoaccel import LLM, RequestOptions, SamplingParams
from nanoaccel.bundle import Bundle
from nanoaccel.registry import DRAFTERS
from nanoaccel.runtime.engine import assembly
from nanoaccel.runtime.speculation.drafters import (
    DrafterContext,
    DrafterFactory,
    DrafterOptions,
    DraftOptions,
)
from nanoaccel.testing import tiny_models
from nanoaccel.testing.contracts.drafter import (  # noqa: F401
    TEXT,
    TestDrafter,
    propose,
)
from nanoaccel.testing.drafters import Always
from nanoaccel.testing.engines import VOCAB_SIZE as LETTERS

pytestmark = pytest.mark.export

VOCAB_SIZE = tiny_models.VOCAB_SIZE


def draft_folder(name: str, tiny_bundle: Path, tiny_head: Path) -> Path | None:
    """What a drafter runs; the tiny model itself is a good draft of the tiny model."""
    target, factory = Bundle.open(tiny_bundle), DRAFTERS.resolve(name)
    folders = (None, tiny_bundle, tiny_head)
    return next(
        folder for folder in folders if factory.applies(DrafterContext(target=target, draft=folder))
    )


@pytest.fixture(scope="module", params=DRAFTERS.names())
def name(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


@pytest.fixture(scope="module")
def subject(name: str) -> DrafterFactory:
    made: DrafterFactory = DRAFTERS.resolve(name)
    return made


@pytest.fixture(scope="module")
def nanoaccel_drafter_options(name: str, tiny_bundle: Path, tiny_head: Path) -> DrafterOptions:
    folder = draft_folder(name, tiny_bundle, tiny_head)
    if folder is None:
        return DrafterOptions(vocab_size=LETTERS)
    draft = DraftOptions(folder=folder, target=Bundle.open(tiny_bundle), num_blocks=16)
    return DrafterOptions(vocab_size=VOCAB_SIZE, draft=draft)


def test_drafter_is_called_as_it_is_registered_and_drafts(
    name: str, subject: DrafterFactory, nanoaccel_drafter_options: DrafterOptions
) -> None:
    made = subject(nanoaccel_drafter_options)
    assert made.name == name
    assert propose(made, {1: TEXT})[1].proposed
    made.close()


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
    monkeypatch.setattr(assembly, "Controller", lambda _, pad: Always(pad))
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
