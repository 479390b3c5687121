"""A request writes the same text, whatever happens around it: in f32, and on own operators."""

from __future__ import annotations

import json
import random
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from nanoaccel import LLM, CacheEviction, RequestOptions, SamplingParams
from nanoaccel.bundle import MANIFEST
from nanoaccel.runtime.backends import Precision

WAYS = {
    "greedy": SamplingParams(max_tokens=72, ignore_eos=True),
    "sampled": SamplingParams(max_tokens=72, ignore_eos=True, temperature=0.9, top_p=0.9, seed=3),
}
BLOCK_TOKENS = 32

# The default precision is for what is the same bits in any company. Of the runtimes' own operators
# one way to sample each is enough, and of the sample model, which takes its time.
CASES = [
    pytest.param(("tiny_int4_bundle", "greedy"), id="tiny-int4-greedy"),
    pytest.param(("tiny_int4_bundle", "sampled"), id="tiny-int4-sampled"),
    pytest.param(("tiny_bundle", "greedy"), id="tiny-greedy"),
    pytest.param(("tiny_bundle", "sampled"), id="tiny-sampled", marks=pytest.mark.nightly),
    pytest.param(("tiny_onnx_bundle", "greedy"), id="tiny-onnx-greedy", marks=pytest.mark.nightly),
    pytest.param(("tiny_onnx_bundle", "sampled"), id="tiny-onnx-sampled"),
    pytest.param(
        ("sample_bundle_f32", "greedy"),
        id="sample-greedy",
        marks=[pytest.mark.sample, pytest.mark.nightly],
    ),
]

Texts = list[tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Case:
    """A bundle, its precision, a way to sample, and what each prompt gives alone, undrafted."""

    bundle: Path
    precision: Precision
    way: SamplingParams
    alone: Texts

    def open(self, **options: Any) -> LLM:
        return LLM(self.bundle, precision=self.precision, **options)


@pytest.fixture(scope="module")
def tiny_int4_bundle(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny Llama as a default export makes it, but for how its numbers are found."""
    from nanoaccel.exporters.pipeline import export
    from nanoaccel.exporters.quantize.recipe import Recipe

    pytest.importorskip("onnx_ir")
    out = tmp_path_factory.mktemp("bundles") / "tiny-llama-int4"
    export(tiny_model, out, recipe=Recipe(weights="int4", group_size=32))
    return out


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    name, way = request.param
    bundle: Path = request.getfixturevalue(name)
    precision: Precision = "auto" if name == "tiny_int4_bundle" else "f32"
    with LLM(bundle, precision=precision, prefix_cache=False, speculation="off") as llm:
        if precision == "auto" and not llm.backend.batch_invariant:
            pytest.skip("NanoAccel's operators are not there")
        alone = [llm.generate(prompt, WAYS[way]).token_ids for prompt in prompts(llm)]
    return Case(bundle, precision, WAYS[way], alone)


def prompts(llm: LLM) -> list[list[int]]:
    """Lengths around the block size, and three that begin the same."""
    draw = random.Random(5)

    def tokens(count: int) -> list[int]:
        return draw.choices(range(3, llm.backend.vocab_size), k=count)

    shared = tokens(3 * BLOCK_TOKENS + 5)
    return [
        tokens(1),
        tokens(31),
        tokens(33),
        tokens(90),
        *(shared + tokens(n) for n in (1, 9, 40)),
    ]


def write(llm: LLM, way: SamplingParams) -> Texts:
    return [output.token_ids for output in llm.generate(prompts(llm), way)]


def test_text_is_the_same_in_a_batch_and_after_hits(case: Case) -> None:
    with case.open() as llm:
        assert write(llm, case.way) == case.alone
        assert write(llm, case.way) == case.alone
        assert llm.counters().hit_tokens > 0


def test_text_is_the_same_after_preemption_and_eviction(case: Case) -> None:
    with case.open(kv_cache_memory=1 << 30) as llm:
        block = llm.backend.bytes_per_block
    memory = 9 * block
    with case.open(kv_cache_memory=memory) as llm:
        assert write(llm, case.way) == case.alone
    # Without guesses, requests take longer and meet for certain.
    with case.open(kv_cache_memory=memory, speculation="off") as llm:
        assert write(llm, case.way) == case.alone
        counters = llm.counters()
    assert counters.preemptions > 0
    assert counters.evictions > 0


def test_text_is_the_same_after_a_restart(case: Case, tmp_path: Path) -> None:
    with case.open(prompt_cache=tmp_path) as llm:
        assert write(llm, case.way) == case.alone
    with case.open(prompt_cache=tmp_path) as llm:
        assert write(llm, case.way) == case.alone
        assert llm.counters().restored_tokens > 0


@pytest.mark.parametrize(
    ("bundle", "by"),
    [("tiny_bundle", "position"), ("tiny_bundle", "score"), ("tiny_onnx_bundle", "position")],
)
def test_text_of_bounded_requests_does_not_depend_on_others(
    bundle: str, by: str, request: pytest.FixtureRequest
) -> None:
    opened: Path = request.getfixturevalue(bundle)
    eviction = CacheEviction(max_tokens=128, by=by)  # type: ignore[arg-type]
    with LLM(opened, precision="f32", prefix_cache=False, cache_eviction=eviction) as llm:
        draw = random.Random(7)
        long = [draw.choices(range(3, llm.backend.vocab_size), k=n) for n in (300, 411, 90)]
        together = [output.token_ids for output in llm.generate(long, WAYS["greedy"])]
        assert [llm.generate(prompt, WAYS["greedy"]).token_ids for prompt in long] == together


def test_a_conversation_of_32000_tokens_runs_in_a_fixed_budget(
    tiny_bundle: Path, tmp_path: Path
) -> None:
    bundle = tmp_path / "long"
    shutil.copytree(tiny_bundle, bundle)
    manifest = json.loads((bundle / MANIFEST).read_text())
    manifest["target"]["context_length"] = 40_000
    (bundle / MANIFEST).write_text(json.dumps(manifest))
    with LLM(bundle, kv_cache_memory=1 << 30) as llm:
        block = llm.backend.bytes_per_block
    budget = 16 * BLOCK_TOKENS
    with LLM(bundle, kv_cache_memory=17 * block, prefix_cache=False) as llm:
        draw = random.Random(1)
        conversation = draw.choices(range(3, llm.backend.vocab_size), k=31_900)
        options = RequestOptions(cache_eviction=CacheEviction(max_tokens=budget))
        output = llm.generate(
            conversation, SamplingParams(max_tokens=150, ignore_eos=True), options
        )
        assert output.usage.prompt_tokens + output.usage.completion_tokens > 32_000
        assert output.finish_reason == "length"
