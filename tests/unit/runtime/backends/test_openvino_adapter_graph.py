"""Which products of a graph get thin ones beside them, and what they then compute."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

pytest.importorskip("openvino")

import openvino as ov
from openvino import opset13 as ops

from nanoaccel.openvino_core import openvino_core
from nanoaccel.runtime.backends.openvino.adapters.graph import (
    DOWN,
    RANKS,
    UP,
    AdaptedMatrix,
    add_adapters,
)

RANDOM = np.random.default_rng(0)
INPUTS, TOKENS, VOCABULARY = 8, 3, 5
Between = Callable[[ov.Node], ov.Node]


def numbers(*shape: int) -> np.ndarray:
    return RANDOM.standard_normal(shape).astype(np.float32)


def product(x: ov.Node, weight: np.ndarray, name: str) -> ov.Node:
    made = ops.matmul(x, ops.constant(weight), transpose_a=False, transpose_b=True)
    made.set_friendly_name(name)
    return made


def graph(between: Between, shape: tuple[int, ...] = (-1, 1, INPUTS)) -> ov.Model:
    """A graph whose logits are a projection of what stands between."""
    x = ops.parameter(list(shape), np.float32, name="x")
    last = between(x)
    width = last.get_output_partial_shape(0)[-1].get_length()
    logits = ops.result(product(last, numbers(VOCABULARY, width), "__module.lm_head/MatMul"))
    logits.output(0).set_names({"logits"})
    return ov.Model([logits], [x])


def outputs(model: ov.Model, x: np.ndarray, thin: dict[str, np.ndarray]) -> np.ndarray:
    compiled = openvino_core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return compiled({"x": x, **thin})["logits"]


def changed(model: ov.Model, x: np.ndarray, thin: dict[str, np.ndarray]) -> np.ndarray:
    """What an adapter of rank 2 changes for all tokens but the first, whose rank it is not."""
    ranks = np.ones((TOKENS, 2), np.float32)
    ranks[0] = 0
    nothing = {RANKS: np.zeros_like(ranks), **thin}
    return outputs(model, x, {RANKS: ranks, **thin}) - outputs(model, x, nothing)


def last_weight(model: ov.Model) -> np.ndarray:
    return (
        model.output("logits").get_node().input_value(0).get_node().input_value(1).get_node().data
    )


@pytest.mark.parametrize("shape", [(-1, 1, INPUTS), (-1, INPUTS)])
def test_product_with_bias_gets_one_beside_it(shape: tuple[int, ...]) -> None:
    def between(x: ov.Node) -> ov.Node:
        return ops.add(product(x, numbers(4, INPUTS), "__module.a.q/MatMul"), numbers(1, 4))

    model = graph(between, shape)
    assert add_adapters(model) == [AdaptedMatrix(("a.q",), INPUTS, (4,))]
    x = numbers(TOKENS, *(1,) * (len(shape) - 2), INPUTS)
    down, up = numbers(2, INPUTS), numbers(2, 4)
    found = changed(model, x, {f"{DOWN}.0": down, f"{UP}.0.0": up})
    expected = x @ down.T @ up @ last_weight(model).T
    expected[0] = 0
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_joined_product_gets_one_for_each_module() -> None:
    def between(x: ov.Node) -> ov.Node:
        whole = product(x, numbers(6, INPUTS), "__module.q/MatMul+__module.k/MatMul")
        q, k = ops.variadic_split(whole, np.int64(-1), np.array([4, 2])).outputs()
        return ops.concat([k, q], -1)

    model = graph(between)
    assert add_adapters(model) == [AdaptedMatrix(("q", "k"), INPUTS, (4, 2))]
    x, downs = numbers(TOKENS, 1, INPUTS), numbers(2, 2, INPUTS)
    q, k = numbers(2, 4), numbers(2, 2)
    thin = {f"{DOWN}.0": downs.reshape(4, INPUTS), f"{UP}.0.0": q, f"{UP}.0.1": k}
    wide = np.concatenate([x @ downs[:, 1].T @ k, x @ downs[:, 0].T @ q], -1)
    expected = wide @ last_weight(model).T
    expected[0] = 0
    np.testing.assert_allclose(changed(model, x, thin), expected, atol=1e-4)


def test_adapter_reads_what_stands_in_front_of_the_factors_of_awq() -> None:
    def between(x: ov.Node) -> ov.Node:
        scaled = ops.multiply(x, numbers(INPUTS))
        scaled.set_friendly_name("before/awq_mul")
        return product(scaled, numbers(4, INPUTS), "__module.down/MatMul")

    model = graph(between)
    add_adapters(model)
    x, down, up = numbers(TOKENS, 1, INPUTS), numbers(2, INPUTS), numbers(2, 4)
    expected = x @ down.T @ up @ last_weight(model).T
    expected[0] = 0
    found = changed(model, x, {f"{DOWN}.0": down, f"{UP}.0.0": up})
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize(
    "between",
    [
        pytest.param(lambda x: product(x, numbers(4, INPUTS), "MatMul_7"), id="no module"),
        pytest.param(
            lambda x: ops.matmul(x, ops.transpose(x, np.array([0, 2, 1])), False, False),
            id="no stored matrix",
        ),
        pytest.param(
            lambda x: ops.reduce_sum(
                product(x, numbers(3, 4, INPUTS), "__module.experts.up/MatMul"), np.int64(0), True
            ),
            id="experts",
        ),
    ],
)
def test_other_products_get_none(between: Between) -> None:
    model = graph(between, (-1, 1, INPUTS))
    before = len(model.inputs)
    assert add_adapters(model) == []
    assert len(model.inputs) == before
