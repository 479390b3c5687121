"""Embeddings through the engine are the original's last states in torch, pooled."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nanoaccel.exporters.pipeline import export
from nanoaccel.exporters.quantize.recipe import Recipe
from nanoaccel.runtime.llm import LLM
from nanoaccel.runtime.sampling import SamplingParams
from nanoaccel.runtime.types.pooling import PoolingKind
from nanoaccel.testing import tiny_models

pytestmark = pytest.mark.export


@pytest.fixture(scope="module")
def bundle(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model in f32, for both runtimes."""
    folder = tmp_path_factory.mktemp("both") / "bundle"
    return export(tiny_model, folder, recipe=Recipe(weights="f32"), runtime="both").folder


@pytest.mark.parametrize("backend", ["openvino", "onnx"])
@pytest.mark.parametrize("pooling", ["last", "mean"])
def test_embeddings_are_those_of_torch(
    backend: str, pooling: PoolingKind, bundle: Path, tiny_model: Path
) -> None:
    import torch
    from transformers import AutoModel

    draw = np.random.default_rng(7)
    shared = draw.integers(3, tiny_models.VOCAB_SIZE, 40).tolist()
    prompts = [draw.integers(3, tiny_models.VOCAB_SIZE, n).tolist() for n in (1, 5, 70)]
    prompts += [[*shared, n] for n in (3, 4)]
    with LLM(bundle, backend=backend, precision="f32", max_step_tokens=24) as llm:
        written = llm.generate(shared, SamplingParams(max_tokens=4, ignore_eos=True))
        raw = llm.embed(prompts, pooling=pooling, normalize=False)
        units = llm.embed(prompts, pooling=pooling, dimensions=8)
        again = llm.generate(shared, SamplingParams(max_tokens=4, ignore_eos=True))
    assert again.token_ids == written.token_ids
    model = AutoModel.from_pretrained(tiny_model, dtype=torch.float32).eval()
    for prompt, found, unit in zip(prompts, raw, units, strict=True):
        with torch.no_grad():
            states = model(torch.tensor([prompt])).last_hidden_state[0].numpy()
        wanted = states[-1] if pooling == "last" else states.mean(axis=0)
        np.testing.assert_allclose(found, wanted, atol=2e-3)
        np.testing.assert_allclose(unit, wanted[:8] / np.linalg.norm(wanted[:8]), atol=2e-3)
