"""Graphs with NanoAccel's operators give what stock ones give, whatever stands around products."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support.linear_reference import reference
from support.native_linear import random_matrix

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from support.onnx_sketches import OPERATORS, K, Sketch, both, close, kinds

from nanoaccel.errors import BundleDamagedError
from nanoaccel.runtime.backends.onnxruntime.operators import rewrite
from nanoaccel.runtime.backends.onnxruntime.session import open_session
from nanoaccel.runtime.cpu.threads import plan_here
from nanoaccel.runtime.cpu.workload import Workload

needs_operators = pytest.mark.skipif(OPERATORS.library is None, reason=OPERATORS.reason)
GROUP = 32
RNG = np.random.default_rng(0)


def block(sketch: Sketch) -> None:
    """A decoder layer without attention."""
    gate_up = random_matrix(RNG, K, 2 * 96, group=GROUP, zeros=True)
    down = random_matrix(RNG, 96, K, bits=8, group=GROUP)
    norm = sketch.keep("norm", RNG.normal(size=K).astype(np.float32))
    last = sketch.keep("last", RNG.normal(size=K).astype(np.float32))
    sketch.add("SimplifiedLayerNormalization", ["x", norm], ["normed"], axis=-1, epsilon=1e-6)
    sketch.product("normed", gate_up, "both")
    sketch.add("Split", ["both"], ["gate", "up"], axis=-1, num_outputs=2)
    sketch.add("Sigmoid", ["gate"], ["sigmoid"])
    sketch.add("Mul", ["gate", "sigmoid"], ["weighted"])
    sketch.add("Mul", ["weighted", "up"], ["inner"])
    sketch.product("inner", down, "outer")
    outputs = ["final", "", "", "hidden"]
    inputs = ["x", "outer", last]
    domain = "com.microsoft"
    sketch.add("SkipSimplifiedLayerNormalization", inputs, outputs, domain, epsilon=1e-6)
    sketch.add("Gather", ["final", "rows"], ["some"], axis=1)
    sketch.product("some", random_matrix(RNG, K, 72, bits=8, group=64), "logits")


@needs_operators
def test_rewrite_fuses_a_layer(tmp_path: Path) -> None:
    sketch = Sketch()
    block(sketch)
    graph = sketch.save(tmp_path, {"logits": 72, "hidden": K})
    assert kinds(graph) == {"Linear": 3, "Gather": 1}
    for own, stock in both(graph):
        close(own, stock)


@needs_operators
@pytest.mark.parametrize("kept", ["normed", "both", "gate", "weighted", "outer", "final"])
def test_rewrite_keeps_what_the_caller_reads(kept: str, tmp_path: Path) -> None:
    sketch = Sketch()
    block(sketch)
    width = {"both": 192, "gate": 96, "weighted": 96}.get(kept, K)
    graph = sketch.save(tmp_path, {"logits": 72, "hidden": K, kept: width})
    assert kinds(graph)["Linear"] == 3
    for own, stock in both(graph):
        close(own, stock)


@needs_operators
def test_rewrite_takes_a_bias_and_no_other_sum(tmp_path: Path) -> None:
    sketch = Sketch()
    sketch.product("x", random_matrix(RNG, K, 64, group=GROUP), "first")
    sketch.add(
        "Add", ["first", sketch.keep("bias", RNG.normal(size=64).astype(np.float32))], ["biased"]
    )
    sketch.product("x", random_matrix(RNG, K, 64, group=GROUP), "second")
    sketch.add("Add", ["biased", "second"], ["sum"])
    graph = sketch.save(tmp_path, {"sum": 64})
    assert kinds(graph) == {"Linear": 2, "Add": 1}
    ((own, stock),) = both(graph)
    close(own, stock)


def half_product(sketch: Sketch) -> None:
    """As in a graph that computes in f16 throughout."""
    matrix = sketch.keep("matrix", RNG.normal(size=(K, 64)).astype(np.float16))
    sketch.add("Cast", ["x"], ["half"], to=10)
    sketch.add("MatMul", ["half", matrix], ["product"])
    sketch.add("Cast", ["product"], ["y"], to=1)


def computed_matrix(sketch: Sketch) -> None:
    matrix = sketch.keep("matrix", RNG.normal(size=(K, 64)).astype(np.float32))
    sketch.add("Exp", [matrix], ["other"])
    sketch.add("MatMul", ["x", "other"], ["y"])


def computed_scales(sketch: Sketch) -> None:
    matrix = random_matrix(RNG, K, 64, group=GROUP)
    sketch.product("x", matrix, "y")
    sketch.add("Exp", ["y.wide"], ["y.other"])
    sketch.nodes[-2].input[2] = "y.other"
    sketch.nodes[-2:] = sketch.nodes[:-3:-1]


@pytest.mark.parametrize("make", [half_product, computed_matrix, computed_scales])
def test_rewrite_leaves_other_products(make: Callable[[Sketch], None], tmp_path: Path) -> None:
    sketch = Sketch()
    make(sketch)
    assert rewrite(sketch.save(tmp_path, {"y": 64})) is None


def test_rewrite_leaves_files_that_it_cannot_read(tmp_path: Path) -> None:
    sketch = Sketch()
    block(sketch)
    graph = sketch.save(tmp_path, {"logits": 72})
    data = graph.read_bytes()
    for size in (0, 10, len(data) // 2, len(data) - 1):
        graph.write_bytes(data[:size])
        assert rewrite(graph) is None


@needs_operators
def test_linear_in_a_session_is_the_same_bits_in_any_company(tmp_path: Path) -> None:
    matrix = random_matrix(RNG, K, 320, group=GROUP)
    sketch = Sketch()
    sketch.product("x", matrix, "y")
    graph, plan = sketch.save(tmp_path, {"y": 320}), plan_here(Workload(role="decode", threads=2))
    session = open_session(graph, plan, OPERATORS, rewrite(graph))
    x = RNG.normal(size=(1, 200, K)).astype(np.float32)
    (whole,) = session.run(None, {"x": x})
    wanted, size = reference(matrix, x[0])
    assert (np.abs(whole[0] - wanted) <= 1e-5 * size).all()
    for begin in range(0, 200, 37):
        (part,) = session.run(None, {"x": x[:, begin : begin + 5]})
        np.testing.assert_array_equal(part[0], whole[0, begin : begin + 5])
    assert session.run(None, {"x": x[:, :0]})[0].shape == (1, 0, 320)


@needs_operators
def test_session_names_tensors_that_do_not_fit(tmp_path: Path) -> None:
    matrix = random_matrix(RNG, K, 64, group=GROUP)
    sketch = Sketch()
    sketch.product("x", matrix.with_(codes=matrix.codes[:60]), "y")
    plan = plan_here(Workload(role="decode", threads=2))
    graph = sketch.save(tmp_path, {"y": 64})
    with pytest.raises(BundleDamagedError, match="codes do not fit K and N"):
        open_session(graph, plan, OPERATORS, rewrite(graph))
