"""What the linears take over from stock nodes: products of all kinds, norms and activations."""

from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from support.native_linear import random_matrix

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from support.onnx_sketches import OPERATORS, K, Sketch, both, close, kinds  # noqa: E402

pytestmark = pytest.mark.skipif(OPERATORS.library is None, reason=OPERATORS.reason)
MICROSOFT = "com.microsoft"
RNG = np.random.default_rng(0)


def same(found: np.ndarray, wanted: np.ndarray) -> None:
    """Equal but for the order of sums."""
    assert np.abs(found - wanted).max() <= 2e-5 * np.abs(wanted).max()


def floats(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def matmul(sketch: Sketch, x: str, out: str, width: int) -> None:
    sketch.add("MatMul", [x, sketch.keep(f"{out}.weights", floats(K, width))], [out])


def plain(sketch: Sketch) -> None:
    matmul(sketch, "x", "y", 72)


def narrow(sketch: Sketch, kind: type = np.float16) -> None:
    sketch.keep("weights", floats(K, 72).astype(kind))
    sketch.add("Cast", ["weights"], ["wide"], to=1)
    sketch.add("MatMul", ["x", "wide"], ["y"])


def narrower(sketch: Sketch) -> None:
    narrow(sketch, ml_dtypes.bfloat16)


def tied(sketch: Sketch) -> None:
    """The table of an embedding, as the exporter uses it for the last product."""
    sketch.keep("table", floats(72, K).astype(np.float16))
    sketch.add("Cast", ["table"], ["wide"], to=1)
    sketch.add("Transpose", ["wide"], ["turned"], perm=[1, 0])
    sketch.add("MatMul", ["x", "turned"], ["y"])


def gemm(sketch: Sketch) -> None:
    sketch.keep("flat", np.array([-1, K]))
    sketch.keep("deep", np.array([1, -1, 72]))
    sketch.add("Reshape", ["x", "flat"], ["flattened"])
    names = [sketch.keep("weights", floats(72, K)), sketch.keep("bias", floats(72))]
    sketch.add("Gemm", ["flattened", *names], ["product"], transB=1)
    sketch.add("Reshape", ["product", "deep"], ["y"])


def exact_codes(sketch: Sketch) -> None:
    sketch.product("x", random_matrix(RNG, K, 72, group=32, zeros=True), "y", level=1)


def exact_bytes(sketch: Sketch) -> None:
    sketch.product("x", random_matrix(RNG, K, 72, bits=8, group=64), "y", level=0)


def table(sketch: Sketch, kind: int) -> None:
    sketch.keep("codes", RNG.integers(0, 256, 72 * K // 2, np.uint8))
    sketch.keep("scales", RNG.uniform(0.01, 0.02, 72 * K // 32).astype(np.float32))
    sizes = {"K": K, "N": 72, "block_size": 32, "quant_type": kind}
    sketch.add("MatMulBnb4", ["x", "codes", "scales"], ["y"], MICROSOFT, **sizes)


def fp4(sketch: Sketch) -> None:
    table(sketch, 0)


def nf4(sketch: Sketch) -> None:
    table(sketch, 1)


PRODUCTS = (plain, narrow, narrower, tied, gemm, exact_codes, exact_bytes, fp4, nf4)


@pytest.mark.parametrize("make", PRODUCTS, ids=lambda make: make.__name__)
def test_rewrite_replaces_products_that_round_no_activations(make: object, tmp_path: Path) -> None:
    sketch = Sketch()
    make(sketch)  # type: ignore[operator]
    graph = sketch.save(tmp_path, {"y": 72})
    found = kinds(graph)
    assert found["FloatLinear"] == 1
    assert found.keys() <= {"FloatLinear", "Reshape"}
    for own, stock in both(graph):
        same(own, stock)


ACTIVATIONS = {
    "silu": [("Sigmoid", "", {}), ("Mul", "", {})],
    "gelu": [("Gelu", "", {"approximate": "none"})],
    "tanh gelu": [("Gelu", "", {"approximate": "tanh"})],
    "fast gelu": [("FastGelu", MICROSOFT, {})],
    "contributed gelu": [("Gelu", MICROSOFT, {})],
    "quick gelu": [("QuickGelu", MICROSOFT, {"alpha": 1.702})],
    "relu": [("Relu", "", {})],
    "squared relu": [("Relu", "", {}), ("Pow", "", {})],
}


def activation(sketch: Sketch, kind: str, x: str, out: str) -> None:
    steps = ACTIVATIONS[kind]
    middle = out if len(steps) == 1 else f"{out}.first"
    name, domain, more = steps[0]
    sketch.add(name, [x], [middle], domain, **more)
    if name == "Sigmoid":
        sketch.add("Mul", [x, middle], [out])
    elif len(steps) > 1:
        sketch.add("Pow", [middle, sketch.keep("two", np.array([2], np.int32))], [out])


@pytest.mark.parametrize("kind", ACTIVATIONS)
def test_rewrite_fuses_activations(kind: str, tmp_path: Path) -> None:
    sketch = Sketch()
    sketch.add("LayerNormalization", ["x", *norm(sketch, "norm")], ["normed"], epsilon=1e-6)
    matmul(sketch, "normed", "product", 96)
    sketch.add("Add", ["product", sketch.keep("bias", floats(96))], ["biased"])
    activation(sketch, kind, "biased", "y")
    graph = sketch.save(tmp_path, {"y": 96})
    assert kinds(graph) == {"FloatLinear": 1}
    for own, stock in both(graph):
        same(own, stock)


@pytest.mark.parametrize("kind", ACTIVATIONS)
def test_rewrite_fuses_gates(kind: str, tmp_path: Path) -> None:
    sketch = Sketch()
    matmul(sketch, "x", "both", 96)
    sketch.add("Split", ["both"], ["gate", "up"], axis=-1, num_outputs=2)
    activation(sketch, kind, "gate", "active")
    sketch.add("Mul", ["up", "active"], ["y"])
    graph = sketch.save(tmp_path, {"y": 48})
    assert kinds(graph) == {"FloatLinear": 1}
    for own, stock in both(graph):
        same(own, stock)


def test_rewrite_leaves_other_powers_and_factors(tmp_path: Path) -> None:
    sketch = Sketch()
    matmul(sketch, "x", "first", 48)
    sketch.add("QuickGelu", ["first"], ["y"], MICROSOFT, alpha=1.5)
    matmul(sketch, "x", "second", 48)
    sketch.add("Relu", ["second"], ["positive"])
    sketch.add("Pow", ["positive", sketch.keep("three", np.array([3], np.int32))], ["z"])
    graph = sketch.save(tmp_path, {"y": 48, "z": 48})
    assert kinds(graph) == {"FloatLinear": 2, "QuickGelu": 1, "Pow": 1}
    for own, stock in both(graph):
        same(own, stock)


def norm(sketch: Sketch, name: str) -> list[str]:
    """Weights and bias."""
    return [sketch.keep(name, floats(K)), sketch.keep(f"{name}.bias", floats(K))]


@pytest.mark.parametrize("epsilon", [None, 1e-3])
def test_rewrite_fuses_layer_norms_and_their_sums(epsilon: float | None, tmp_path: Path) -> None:
    sketch = Sketch()
    more = {} if epsilon is None else {"epsilon": epsilon}
    matmul(sketch, "x", "outer", K)
    inputs = ["x", "outer", *norm(sketch, "norm")]
    sketch.add("SkipLayerNormalization", inputs, ["n", "", "", "sum"], MICROSOFT, **more)
    sketch.product("n", random_matrix(RNG, K, 72, group=32), "y")
    graph = sketch.save(tmp_path, {"y": 72, "sum": K})
    assert kinds(graph) == {"FloatLinear": 1, "Linear": 1}
    for own, stock in both(graph):
        close(own, stock)


def test_rewrite_leaves_a_norm_of_a_sum_with_a_bias(tmp_path: Path) -> None:
    sketch = Sketch()
    matmul(sketch, "x", "outer", K)
    inputs = ["x", "outer", *norm(sketch, "norm"), sketch.keep("added", floats(K))]
    sketch.add("SkipLayerNormalization", inputs, ["n"], MICROSOFT, epsilon=1e-6)
    matmul(sketch, "n", "y", 72)
    graph = sketch.save(tmp_path, {"y": 72})
    assert kinds(graph) == {"FloatLinear": 2, "SkipLayerNormalization": 1}
    for own, stock in both(graph):
        same(own, stock)


def test_rewrite_leaves_a_norm_that_is_added_to_its_own_product(tmp_path: Path) -> None:
    sketch = Sketch()
    sketch.add("LayerNormalization", ["x", *norm(sketch, "first")], ["n"], axis=-1)
    matmul(sketch, "n", "outer", K)
    inputs = ["n", "outer", *norm(sketch, "second")]
    sketch.add("SkipLayerNormalization", inputs, ["m"], MICROSOFT, epsilon=1e-6)
    matmul(sketch, "m", "y", 72)
    graph = sketch.save(tmp_path, {"y": 72})
    assert kinds(graph) == {"LayerNormalization": 1, "FloatLinear": 2}
    for own, stock in both(graph):
        same(own, stock)
