"""Large products are run in parts of their rows: each number is what it was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nanoaccel.testing import tiny_models

pytest.importorskip("onnx_ir")

import onnx_ir as ir
from support.onnx_models import OnnxModel

from nanoaccel.bundle import exact_graph
from nanoaccel.exporters.quantize.recipe import Recipe
from nanoaccel.exporters.targets.onnx import parts
from nanoaccel.exporters.targets.onnx.runner import OnnxRunner

pytestmark = pytest.mark.export

TOKENS = np.random.default_rng(1).integers(3, tiny_models.VOCAB_SIZE, 40)
LARGEST = 1000  # weights; its rows have 64, so the last part is a smaller one


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("tied", [True, False])
def test_products_in_parts_give_the_same_bits(
    symmetric: bool, tied: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = OnnxModel.make(
        tmp_path, tiny_models.make_model("llama", tie_word_embeddings=tied, hidden_size=64)
    )
    graph, _ = model.export(tmp_path / "out", Recipe(weights="int8", symmetric=symmetric))
    whole = OnnxRunner(graph).logits(TOKENS)
    monkeypatch.setattr(parts, "_PART", LARGEST)
    np.testing.assert_array_equal(OnnxRunner(graph).logits(TOKENS), whole)


def test_only_products_whose_weights_would_be_widened_are_divided(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "_PART", LARGEST)
    model = OnnxModel.make(tmp_path, tiny_models.make_model("llama"))
    graph, _ = model.export(tmp_path / "out", Recipe(group_size=32))  # an int8 head
    read = ir.load(exact_graph(graph))
    before = {node.name for node in read.graph if node.op_type == "MatMulNBits"}
    parts.divide_products(read.graph)
    products = [node for node in read.graph if node.op_type == "MatMulNBits"]
    assert len(before - {node.name for node in products}) == 1
    new = [node for node in products if node.name not in before]
    sizes = [node.attributes["N"].as_int() * node.attributes["K"].as_int() for node in new]
    assert max(sizes) <= LARGEST
    assert sum(node.attributes["N"].as_int() for node in new) == tiny_models.VOCAB_SIZE
