"""The torch backend says what transformers says, for models that attend in different ways."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nanoaccel import LLM, SamplingParams
from nanoaccel.errors import UnsupportedModelError
from nanoaccel.testing import tiny_models

pytestmark = pytest.mark.export

WINDOW = {"sliding_window": 16}
TOKENS = 20
GREEDY = SamplingParams(max_tokens=TOKENS, temperature=0, ignore_eos=True)
# What no exporter takes, or what attends in a way of its own.
OTHERS: dict[str, dict[str, Any]] = {
    "gpt_neox": {"rotary_pct": 0.5},
    "gpt_oss": {
        **WINDOW,
        "head_dim": 16,
        "num_local_experts": 4,
        "num_experts_per_tok": 2,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
    },
    "deepseek_v3": {
        "n_routed_experts": 4,
        "num_experts_per_tok": 2,
        "n_group": 1,
        "topk_group": 1,
        "moe_intermediate_size": 32,
        "q_lora_rank": 16,
        "kv_lora_rank": 16,
        "qk_rope_head_dim": 8,
        "qk_nope_head_dim": 16,
        "v_head_dim": 24,
        "num_key_value_heads": 4,
        "first_k_dense_replace": 1,
    },
    "llama4_text": {"attention_chunk_size": 32, "num_local_experts": 2, "head_dim": 16},
    "bloom": {"n_layer": 3, "n_head": 4},
}
KINDS: dict[str, dict[str, Any]] = {
    "llama": {},
    "mistral": WINDOW,
    "qwen3": {},
    "gemma2": WINDOW,
    "gemma3_text": WINDOW,
    "gpt2": {},
    "gpt_neox": {},
    "gpt_oss": {},
    "deepseek_v3": {},
}


@pytest.fixture(autouse=True)
def others(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind, more in OTHERS.items():
        monkeypatch.setitem(tiny_models.CONFIGS, kind, tiny_models.sizes(**more))


def open_llm(folder: Path, **options: Any) -> LLM:
    chosen = {"backend": "torch", "precision": "f32", "speculation": "off", **options}
    return LLM(folder, kv_cache_memory=32 << 20, max_step_tokens=24, **chosen)


def said_by_transformers(folder: Path, prompts: list[list[int]]) -> Iterator[tuple[list[int], Any]]:
    """Each prompt's continuation, and the logits behind the prompt."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").eval()
    for prompt in prompts:
        with torch.no_grad():
            made = model.generate(
                torch.tensor([prompt]),
                max_new_tokens=TOKENS,
                min_new_tokens=TOKENS,
                do_sample=False,
                eos_token_id=None,
                pad_token_id=0,
            )
            logits = model(torch.tensor([prompt])).logits[0, -1]
        yield made[0, len(prompt) :].tolist(), logits.log_softmax(-1).numpy()


@pytest.mark.parametrize("kind", KINDS)
def test_torch_says_what_transformers_says(kind: str, tmp_path: Path) -> None:
    folder = tiny_models.write_model(tmp_path / kind, kind, **KINDS[kind])
    draw = np.random.default_rng(7)
    prompts = [draw.integers(3, tiny_models.VOCAB_SIZE, n).tolist() for n in (5, 40, 1, 61)]
    params = SamplingParams(max_tokens=TOKENS, temperature=0, ignore_eos=True, logprobs=5)
    llm = open_llm(folder)
    outputs = llm.generate(prompts, params)
    llm.close()
    expected = said_by_transformers(folder, prompts)
    for output, (token_ids, logprobs) in zip(outputs, expected, strict=True):
        assert list(output.token_ids) == token_ids
        for token_id, logprob in output.logprobs[0].top:
            assert logprob == pytest.approx(logprobs[token_id], abs=1e-4)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("llama4_text", "has a mask that is neither causal nor a window"),
        ("bloom", "computes its attention itself"),
    ],
)
def test_torch_refuses_by_name_what_it_does_not_know(
    kind: str, reason: str, tmp_path: Path
) -> None:
    folder = tiny_models.write_model(tmp_path / kind, kind)
    with pytest.raises(UnsupportedModelError, match=f"{reason}.*nanoaccel export"):
        open_llm(folder)


@pytest.mark.parametrize(
    "name", [pytest.param("torch-inductor", marks=pytest.mark.nightly), "torch-openvino"]
)
def test_torch_says_the_same_compiled(name: str, tiny_model: Path) -> None:
    if name == "torch-inductor":
        import shutil

        if shutil.which("g++") is None:
            pytest.skip("no C++ compiler")
    prompts = [[5, 6, 7], list(range(10, 22))]
    texts = []
    for backend in ("torch", name):
        llm = open_llm(tiny_model, backend=backend)
        texts.append([list(output.token_ids) for output in llm.generate(prompts, GREEDY)])
        llm.close()
    assert texts[0] == texts[1]
