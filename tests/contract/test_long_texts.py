"""Models whose rotary factors depend on the length of a text keep what the engine promises.

All texts here begin short and end long, or begin long.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

from nanoaccel import LLM, CacheEviction, SamplingParams
from nanoaccel.bundle import Bundle
from nanoaccel.evaluation.logits import BundleLogits, Passage
from nanoaccel.exporters.pipeline import export
from nanoaccel.exporters.quantize.recipe import Recipe
from nanoaccel.runtime.engine import assembly
from nanoaccel.testing import tiny_models
from nanoaccel.testing.drafters import Always

pytestmark = pytest.mark.export
BORDER = tiny_models.BORDER
TOKENS = 70
GREEDY = SamplingParams(max_tokens=TOKENS, ignore_eos=True)
SAMPLED = SamplingParams(max_tokens=TOKENS, ignore_eos=True, temperature=0.9, seed=3)
STOCK = "onnx on stock operators"

Texts = list[tuple[int, ...]]


def _prompts() -> list[list[int]]:
    """Lengths around the border, three that begin the same, and one that repeats itself."""
    draw = random.Random(5)

    def tokens(count: int) -> list[int]:
        return draw.choices(range(3, tiny_models.VOCAB_SIZE), k=count)

    edges = [tokens(n) for n in (40, BORDER - 1, BORDER, BORDER + 1, 150)]
    shared = tokens(50)
    return [*edges, *(shared + tokens(n) for n in (2, 9, 40)), tokens(7) * 8]


PROMPTS = _prompts()


@dataclass(frozen=True, slots=True)
class Exported:
    """A bundle, and what the original writes behind each prompt."""

    folder: Path
    model: Any
    greedy: Texts

    def logits(self, tokens: Any) -> Any:
        import torch

        with torch.inference_mode():
            return self.model(torch.tensor(tokens)[None], use_cache=False).logits[0].numpy()


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    folder = tmp_path_factory.mktemp("longrope")
    source = tiny_models.write_model(folder / "model", "phi3", **tiny_models.LONGROPE)
    recipe = Recipe(weights="f32")
    export(source, folder / "bundle", recipe=recipe, judge_tokens=512, runtime="both")
    found = Exported(folder / "bundle", _original(source), [])
    for prompt in PROMPTS:
        text = list(prompt)
        for _ in range(TOKENS):
            text.append(int(found.logits(text)[-1].argmax()))
        found.greedy.append(tuple(text[len(prompt) :]))
    return found


def _original(source: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(source, attn_implementation="eager").eval()


@dataclass(frozen=True, slots=True)
class Case:
    """The bundle on a runtime, and what is sampled of it behind each prompt alone."""

    exported: Exported
    runtime: str
    sampled: Texts

    @property
    def greedy(self) -> Texts:
        return self.exported.greedy

    def open(self, **options: Any) -> LLM:
        return LLM(self.exported.folder, backend=self.runtime, precision="f32", **options)


@pytest.fixture(scope="module", params=["openvino", "onnx", STOCK])
def case(request: pytest.FixtureRequest, exported: Exported) -> Any:
    runtime = request.param.split()[0]
    pytest.importorskip({"onnx": "onnxruntime"}.get(runtime, runtime))
    with pytest.MonkeyPatch.context() as patch:
        if request.param == STOCK:
            patch.setenv("NANOACCEL_ISA", "none")
        found = Case(exported, runtime, [])
        with found.open(prefix_cache=False, speculation="off") as llm:
            assert llm.context_length == tiny_models.CONTEXT
            assert llm.backend.own_operators == (request.param == "onnx")
            found.sampled.extend(llm.generate(prompt, SAMPLED).token_ids for prompt in PROMPTS)
        yield found


def write(llm: LLM, way: SamplingParams = GREEDY) -> Texts:
    return [output.token_ids for output in llm.generate(PROMPTS, way)]


def test_text_is_the_originals_alone_in_a_batch_and_after_hits(case: Case) -> None:
    with case.open(speculation="off") as llm:
        assert [llm.generate(prompt, GREEDY).token_ids for prompt in PROMPTS] == case.greedy
        before = llm.counters()
        assert write(llm) == case.greedy
        assert llm.counters().hit_tokens > before.hit_tokens
        assert write(llm, SAMPLED) == case.sampled
        assert llm.counters().preemptions == 0


def test_text_is_the_same_with_draft_tokens(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assembly, "Controller", lambda _, pad: Always(pad))
    with case.open(speculation="ngram", corpus_tokens=10_000) as llm:
        for way, wanted in ((GREEDY, case.greedy), (SAMPLED, case.sampled)):
            assert write(llm, way) == wanted
            assert write(llm, way) == wanted
        found = llm.counters().speculation
    assert 0 < found.accepted_tokens < found.drafted_tokens


def test_draft_model_is_right_on_both_sides(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is its own draft: all that it drafts is right."""
    monkeypatch.setattr(assembly, "Controller", lambda _, pad: Always(pad))
    draft = case.exported.folder
    with case.open(speculation="draft_model", draft=draft) as llm:
        assert write(llm) == case.greedy
        found = llm.counters().speculation
    assert found.accepted_tokens == found.drafted_tokens > len(PROMPTS) * TOKENS // 2


def test_text_is_the_same_after_preemption_and_eviction(case: Case) -> None:
    with case.open(kv_cache_memory=1 << 28) as llm:
        info = llm.backend
    with case.open(kv_cache_memory=info.cache_bytes(10), speculation="off") as llm:
        assert write(llm) == case.greedy
        counters = llm.counters()
    assert counters.preemptions > 0
    assert counters.evictions > 0


def test_text_is_the_same_after_a_restart(case: Case, tmp_path: Path) -> None:
    for again in (False, True):
        with case.open(prompt_cache=tmp_path) as llm:
            assert write(llm) == case.greedy
            assert (llm.counters().restored_tokens > 0) == again


def test_text_of_bounded_requests_does_not_depend_on_others(case: Case) -> None:
    eviction = CacheEviction(max_tokens=96, by="position")
    with case.open(prefix_cache=False, cache_eviction=eviction) as llm:
        together = write(llm)
        assert [llm.generate(prompt, GREEDY).token_ids for prompt in PROMPTS] == together


def test_logits_are_the_originals_at_any_length(case: Case) -> None:
    draw = np.random.default_rng(0)
    lengths = (700, BORDER, BORDER + 1, 1)
    texts = [draw.integers(3, tiny_models.VOCAB_SIZE, count) for count in lengths]
    bundle = Bundle.open(case.exported.folder)
    with BundleLogits(bundle, length=max(lengths), backend=case.runtime) as opened:
        found = [np.empty((len(text), tiny_models.VOCAB_SIZE), np.float32) for text in texts]
        for rows in opened.read([Passage(text) for text in texts]):
            found[rows.passage][rows.begin : rows.begin + len(rows.logits)] = rows.logits
    for text, logits in zip(texts, found, strict=True):
        np.testing.assert_allclose(logits, case.exported.logits(text), atol=1e-3)


def test_prompt_logprobs_are_those_of_the_whole_prompt(case: Case) -> None:
    params = SamplingParams(max_tokens=2, ignore_eos=True, prompt_logprobs=1)
    prompts = [PROMPTS[1], PROMPTS[4]]
    with case.open(speculation="off") as llm:
        outputs = llm.generate(prompts, params)
    for prompt, output in zip(prompts, outputs, strict=True):
        logits = case.exported.logits(prompt).astype(np.float64)
        expected = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        told = [row for row in output.prompt_logprobs if row is not None]
        right = [expected[place, token] for place, token in enumerate(prompt[1:])]
        assert [one.logprob for one in told] == pytest.approx(right, abs=1e-3)
