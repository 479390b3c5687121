"""Several engines, each in a process, write what one writes; for both runtimes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nanoaccel.runtime.llm import LLM
from nanoaccel.runtime.sampling import SamplingParams

pytestmark = pytest.mark.export

PROMPTS = [[1, 2, 3], [4, 5, 6, 7], list(range(3, 40)), [9]]


@pytest.mark.skipif(os.cpu_count() == 1, reason="needs two CPUs")
@pytest.mark.parametrize("bundle", ["tiny_bundle", "tiny_onnx_bundle"])
def test_replicas_write_the_same_texts(bundle: str, request: pytest.FixtureRequest) -> None:
    folder: Path = request.getfixturevalue(bundle)
    greedy = SamplingParams(max_tokens=24, ignore_eos=True)
    sampled = SamplingParams(max_tokens=12, temperature=0.8, seed=7, n=3, ignore_eos=True)
    with LLM(folder, precision="f32", replicas=1) as one:
        expected = [output.token_ids for output in one.generate(PROMPTS, greedy)]
        drawn = [c.token_ids for c in one.generate(PROMPTS[0], sampled).completions]
    with LLM(folder, precision="f32", replicas=2) as two:
        assert [output.token_ids for output in two.generate(PROMPTS, greedy)] == expected
        assert [c.token_ids for c in two.generate(PROMPTS[0], sampled).completions] == drawn
        assert two.backend.threads == 1
        assert two.counters().submitted == len(PROMPTS) + 3
