"""Log-probabilities of prompts through the engine are those of the original in torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nanoaccel.exporters.pipeline import export
from nanoaccel.exporters.quantize.recipe import Recipe
from nanoaccel.runtime.llm import LLM
from nanoaccel.runtime.sampling import SamplingParams
from nanoaccel.testing import tiny_models

pytestmark = pytest.mark.export

TOP = 5


@pytest.fixture(scope="module")
def bundle(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model in f32, for both runtimes."""
    folder = tmp_path_factory.mktemp("both") / "bundle"
    return export(tiny_model, folder, recipe=Recipe(weights="f32"), runtime="both").folder


@pytest.mark.parametrize("backend", ["openvino", "onnx"])
def test_prompt_logprobs_are_those_of_torch(backend: str, bundle: Path, tiny_model: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    draw = np.random.default_rng(7)
    shared = draw.integers(3, tiny_models.VOCAB_SIZE, 40).tolist()
    prompts = [draw.integers(3, tiny_models.VOCAB_SIZE, n).tolist() for n in (1, 5, 70)]
    prompts += [[*shared, n] for n in (3, 4)]
    params = SamplingParams(max_tokens=0, prompt_logprobs=TOP)
    with LLM(bundle, backend=backend, precision="f32", max_step_tokens=24) as llm:
        llm.generate(shared, SamplingParams(max_tokens=1))  # cached for those that begin the same
        outputs = llm.generate(prompts, params)
    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32).eval()
    for prompt, output in zip(prompts, outputs, strict=True):
        with torch.no_grad():
            wanted = model(torch.tensor([prompt])).logits[0].log_softmax(-1).numpy()
        assert len(output.prompt_logprobs) == len(prompt)
        for row, token, told in zip(
            wanted[:-1], prompt[1:], output.prompt_logprobs[1:], strict=True
        ):
            assert told is not None
            assert told.logprob == pytest.approx(row[token], abs=2e-3)
            assert [value for _, value in told.top] == pytest.approx(
                np.sort(row)[::-1][:TOP], abs=2e-3
            )
