"""In f32, every drafter leaves the greedy text as it is, alone and in batches.

On a tiny model, and in the nightly run on a real one.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from nanoaccel import LLM, RequestOptions, SamplingParams
from nanoaccel.runtime.engine import assembly as loading
from nanoaccel.testing.drafters import Always

pytestmark = pytest.mark.export

PROMPTS = (
    "Write a list of five birds, then write the same list in reverse.",
    "Translate into French: The library is open until nine.",
    "Write a Python class for a queue with push, pop and peek.",
    "Repeat three times: the tide comes in twice a day.",
    "Name the planets in order, each with one fact.",
    "Write a short letter to a neighbour who found your cat.",
    "What is 12 times 7? Think step by step.",
    "Tell me a story about a lighthouse keeper.",
)
PARAMS = SamplingParams(max_tokens=40, ignore_eos=True)


@pytest.fixture(autouse=True)
def _all_is_drafted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "Controller", lambda _, pad: Always(pad))


@pytest.mark.parametrize("drafter", ["ngram", "head"])
def test_tiny_model_writes_the_same_text_with_every_drafter(
    tiny_bundle: Path, tiny_head: Path, drafter: str
) -> None:
    draft = tiny_head if drafter == "head" else None
    with LLM(tiny_bundle, precision="f32", speculation=drafter, draft=draft) as llm:
        assert accepted(llm) > 0


@pytest.mark.nightly
@pytest.mark.sample
@pytest.mark.parametrize("drafter", ["ngram", "head", "auto"])
def test_sample_model_writes_the_same_text_with_every_drafter(
    sample_bundle_f32: Path, drafter: str
) -> None:
    with LLM(sample_bundle_f32, precision="f32", speculation=drafter) as llm:
        assert accepted(llm) > 50


def accepted(llm: LLM) -> int:
    """Tokens that were right, of texts that are those without a drafter."""
    prompts = [llm.tokenizer.encode_chat([{"role": "user", "content": text}]) for text in PROMPTS]
    plain = llm.generate(prompts, PARAMS, RequestOptions(speculation="off"))
    for batch in (1, 3, 8):
        for start in range(0, 8 if batch > 1 else 3, batch):
            group = slice(start, start + batch)
            found = llm.generate(prompts[group], PARAMS)
            assert [o.token_ids for o in found] == [o.token_ids for o in plain[group]]
    return llm.counters().speculation.accepted_tokens
