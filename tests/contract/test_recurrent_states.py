"""Models with recurrent states keep what the engine promises of those without."""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("openvino")
pytest.importorskip("onnx_ir")

from support import hybrids

from nanoaccel import LLM, CacheEviction, SamplingParams
from nanoaccel.bundle import Bundle
from nanoaccel.errors import BundleError, ConfigError
from nanoaccel.evaluation.logits import BundleLogits, Passage
from nanoaccel.runtime.engine import assembly
from nanoaccel.runtime.native import find_operators
from nanoaccel.testing import tiny_models
from nanoaccel.testing.drafters import Always

pytestmark = pytest.mark.export
WAYS = {
    "greedy": SamplingParams(max_tokens=40, ignore_eos=True),
    "sampled": SamplingParams(max_tokens=40, ignore_eos=True, temperature=0.9, top_p=0.9, seed=3),
}
BLOCK_TOKENS = 32
RUNTIMES = ("openvino", "onnx") if find_operators().library is not None else ("openvino",)
# OpenVINO treats all states alike; of NanoAccel's operators each has its own.
NIGHTLY = {("lfm2", "openvino"), ("granitemoehybrid", "openvino")}

Texts = list[tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Case:
    """A model, and what it writes behind each prompt alone: by way."""

    kind: str
    runtime: str
    folder: Path
    alone: dict[str, Texts]

    def open(self, **options: Any) -> LLM:
        return LLM(self.folder, precision="f32", **options)


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(one, id="-".join(one), marks=[pytest.mark.nightly] if one in NIGHTLY else [])
        for one in product(sorted(hybrids.CONFIGS), RUNTIMES)
        if one[1] == "onnx" or one[0] not in hybrids.OF_ONNX
    ],
)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    kind, runtime = request.param
    folder = hybrids.write_bundle(tmp_path_factory.mktemp("hybrid"), kind, runtime)
    with LLM(folder, precision="f32", prefix_cache=False, speculation="off") as llm:
        alone = {
            name: [llm.generate(prompt, way).token_ids for prompt in PROMPTS]
            for name, way in WAYS.items()
        }
    return Case(kind, runtime, folder, alone)


def _prompts() -> list[list[int]]:
    """Lengths around the block size, three that begin the same, and one that repeats itself."""
    draw = random.Random(5)

    def tokens(count: int) -> list[int]:
        return draw.choices(range(3, tiny_models.VOCAB_SIZE), k=count)

    shared = tokens(3 * BLOCK_TOKENS + 5)
    edges = [tokens(n) for n in (1, BLOCK_TOKENS - 1, BLOCK_TOKENS, BLOCK_TOKENS + 1, 90)]
    return [*edges, *(shared + tokens(n) for n in (1, 9, 40)), tokens(7) * 9]


PROMPTS = _prompts()


def write(llm: LLM, way: str = "greedy") -> Texts:
    texts = [output.token_ids for output in llm.generate(PROMPTS, WAYS[way])]
    counters = llm.counters()
    assert counters.owned_states == 0
    assert 0 < counters.cache_states < counters.cache_bytes
    return texts


def test_logits_are_torchs_in_any_chunks(case: Case) -> None:
    import torch

    model = hybrids.make_model(case.kind)
    draw = np.random.default_rng(0)
    texts = [draw.integers(3, tiny_models.VOCAB_SIZE, count) for count in (700, 45, 1)]
    with BundleLogits(Bundle.open(case.folder), length=700, backend=case.runtime) as bundle:
        found = [np.empty((len(text), tiny_models.VOCAB_SIZE), np.float32) for text in texts]
        for rows in bundle.read([Passage(text) for text in texts]):
            found[rows.passage][rows.begin : rows.begin + len(rows.logits)] = rows.logits
    for text, logits in zip(texts, found, strict=True):
        with torch.inference_mode():
            expected = model(torch.tensor(text)[None]).logits[0].numpy()
        np.testing.assert_allclose(logits, expected, atol=1e-3)


@pytest.mark.parametrize("way", WAYS)
def test_text_is_the_same_in_a_batch_and_after_hits(case: Case, way: str) -> None:
    with case.open(speculation="off") as llm:
        assert write(llm, way) == case.alone[way]
        before = llm.counters()
        assert write(llm, way) == case.alone[way]
        after = llm.counters()
    assert before.cached_states > 0
    # All but what stands behind the last full block of each prompt.
    assert after.hit_tokens - before.hit_tokens == sum(
        (len(prompt) - 1) // BLOCK_TOKENS * BLOCK_TOKENS for prompt in PROMPTS
    )


@pytest.mark.parametrize("speculation", ["off", "ngram"])
def test_text_is_the_same_after_preemption_and_eviction(case: Case, speculation: str) -> None:
    with case.open(kv_cache_memory=1 << 30) as llm:
        info = llm.backend
    with case.open(kv_cache_memory=info.cache_bytes(9), speculation=speculation) as llm:
        assert write(llm) == case.alone["greedy"]
        counters = llm.counters()
    assert counters.preemptions > 0 or speculation != "off"
    assert counters.evictions > 0


@pytest.mark.parametrize("every", [True, False], ids=["all states", "two states"])
def test_text_is_the_same_with_draft_tokens(
    case: Case, every: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assembly, "keeps_every_state", lambda *_: every)
    monkeypatch.setattr(assembly, "Controller", lambda _, pad: Always(pad))
    for way in WAYS:
        with case.open(speculation="ngram", corpus_tokens=10_000) as llm:
            assert write(llm, way) == case.alone[way]
            assert write(llm, way) == case.alone[way]
            found = llm.counters().speculation
        assert 0 < found.accepted_tokens < found.drafted_tokens


def test_text_of_bounded_requests_does_not_depend_on_others(case: Case) -> None:
    draw = random.Random(7)
    long = [draw.choices(range(3, tiny_models.VOCAB_SIZE), k=n) for n in (300, 411, 90)]
    eviction = CacheEviction(max_tokens=128, by="position")
    with case.open(prefix_cache=False, cache_eviction=eviction) as llm:
        together = [output.token_ids for output in llm.generate(long, WAYS["greedy"])]
        assert [llm.generate(prompt, WAYS["greedy"]).token_ids for prompt in long] == together


def test_a_hybrid_is_no_draft(case: Case) -> None:
    with pytest.raises(ConfigError, match="recurrent states"):
        case.open(draft=case.folder, speculation="draft_model")


def test_a_hybrid_needs_own_operators_on_onnx_runtime(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NANOACCEL_ISA", "none")
    if case.runtime == "openvino":
        case.open().close()
        return
    with pytest.raises(BundleError, match=r"recurrent states.*NANOACCEL_ISA=none.*OpenVINO"):
        case.open()


def test_text_is_the_same_after_a_restart(case: Case, tmp_path: Path) -> None:
    with case.open(prompt_cache=tmp_path) as llm:
        assert write(llm) == case.alone["greedy"]
    with case.open(prompt_cache=tmp_path) as llm:
        assert write(llm) == case.alone["greedy"]
        assert llm.counters().restored_tokens > 0


def test_text_is_the_same_when_saved_states_are_damaged(case: Case, tmp_path: Path) -> None:
    with case.open(prompt_cache=tmp_path) as llm:
        write(llm)
    for path in (tmp_path / "states").glob("*.kv"):
        data = path.read_bytes()
        path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with case.open(prompt_cache=tmp_path) as llm:
        assert write(llm) == case.alone["greedy"]
        assert llm.counters().restored_tokens == 0
