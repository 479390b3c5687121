"""Whole models with NanoAccel's operators and with those of ONNX Runtime, of the same weights."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from nanoaccel.testing import tiny_models

pytest.importorskip("onnx_ir")
pytest.importorskip("torch")

from support.onnx_models import OnnxModel

from nanoaccel.exporters.quantize.recipe import Recipe
from nanoaccel.runtime.backends import BackendOptions
from nanoaccel.runtime.backends.onnxruntime import load
from nanoaccel.runtime.backends.onnxruntime.operators import rewrite
from nanoaccel.runtime.native import find_operators
from nanoaccel.runtime.types.packing import even_plan

OPERATORS = find_operators()
pytestmark = [
    pytest.mark.export,
    pytest.mark.skipif(OPERATORS.library is None, reason=OPERATORS.reason),
]
KINDS = ("llama", "qwen2", "gemma3_text")  # the usual one, biases, no SwiGLU and more norms
RECIPES = {
    "int4": Recipe(weights="int4", group_size=32),
    "int4 with zero points": Recipe(weights="int4", group_size=32, symmetric=False),
    "int8 by row": Recipe(weights="int8"),
}
TOKENS = 40


@pytest.fixture(scope="module", params=KINDS)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> OnnxModel:
    folder = tmp_path_factory.mktemp(request.param)
    return OnnxModel.make(folder, tiny_models.make_model(request.param))


def logits(graph: Path, isa: str, patch: pytest.MonkeyPatch, **options: str) -> np.ndarray:
    """Those of two sequences, computed together."""
    patch.setenv("NANOACCEL_ISA", isa)
    backend = load(BackendOptions(graph=graph, **options))  # type: ignore[arg-type]
    backend.allocate_cache(4)
    plan = even_plan([[0, 1], [2, 3]], 0, TOKENS // 2, all_rows=True)
    plan.token_ids[:] = np.random.default_rng(0).integers(3, tiny_models.VOCAB_SIZE, TOKENS)
    found = backend.forward(plan).logits.copy()
    backend.close()
    return found


@pytest.mark.parametrize("recipe", RECIPES)
def test_own_operators_are_as_close_to_the_weights_as_stock_ones(
    model: OnnxModel, recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph, _ = model.export(tmp_path, RECIPES[recipe])
    exact = logits(graph, "none", monkeypatch, precision="f32")
    stock = logits(graph, "none", monkeypatch)
    paths = {path: logits(graph, path, monkeypatch) for path in OPERATORS.paths}
    own = paths[OPERATORS.paths[0]]
    for path, found in paths.items():
        np.testing.assert_array_equal(found, own, err_msg=path)
    assert np.square(own - exact).mean() <= 1.5 * np.square(stock - exact).mean() + 1e-9


def test_own_operators_replace_every_product(model: OnnxModel, tmp_path: Path) -> None:
    graph, _ = model.export(tmp_path, RECIPES["int4"])
    rewritten = rewrite(graph)
    assert rewritten is not None
    assert b"MatMulNBits" not in re.sub(rb"/MatMulNBits", b"", rewritten.model)
    assert rewritten.linears == len(re.findall(rb"\x22\x06Linear", rewritten.model))
