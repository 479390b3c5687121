"""The operators in ONNX Runtime's sessions, with attributes and tensors that do not fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

onnx = pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")

from nanoaccel.runtime.native import find_operators  # noqa: E402

OPERATORS = find_operators()
pytestmark = pytest.mark.skipif(OPERATORS.library is None, reason=OPERATORS.reason)
MANY = settings(max_examples=60, deadline=None)
ODD = st.sampled_from([0, -1, 1, 3, 17, 2**31, 2**62, -(2**63)])
TYPES = st.sampled_from([np.float32, np.float16, np.uint8, np.int8, np.int32, np.int64, np.float64])
SILU = 1  # Activation of experts
FLOATS: dict[str, float] = {"epsilon": 1e-5}


def session(
    kind: str, inputs: dict[str, Any], stored: dict[str, Any], attributes: dict[str, Any]
) -> Any:
    """A session of one node, whose inputs are given to it or stored in the graph."""
    helper = onnx.helper
    names = [name if array is not None else "" for name, array in (inputs | stored).items()]
    node = helper.make_node(kind, names, ["y"], domain="nanoaccel", **attributes)
    ends = [
        helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(array.dtype), [None] * array.ndim
        )
        for name, array in inputs.items()
        if array is not None
    ]
    kept = [
        onnx.numpy_helper.from_array(array, name)
        for name, array in stored.items()
        if array is not None
    ]
    told = onnx.TensorProto.INT64 if kind == "Likeliest" else onnx.TensorProto.FLOAT
    y = helper.make_tensor_value_info("y", told, None)
    graph = helper.make_graph([node], "g", ends, [y], kept)
    sets = [helper.make_opsetid("", 21), helper.make_opsetid("nanoaccel", 1)]
    model = helper.make_model(graph, opset_imports=sets, ir_version=10)
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.register_custom_ops_library(str(OPERATORS.library))
    return ort.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])


def run(
    kind: str, inputs: dict[str, Any], stored: dict[str, Any], attributes: dict[str, Any]
) -> np.ndarray | str:
    """What the node gives, or why it was refused."""
    try:
        opened = session(kind, inputs, stored, attributes)
        given = {name: array for name, array in inputs.items() if array is not None}
        output: np.ndarray = opened.run(None, given)[0]
    except Exception as error:  # its exceptions have no common base
        return str(error)
    return output


def linear() -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Inputs, initializers and attributes of a linear of 48 to 20."""
    rng = np.random.default_rng(0)
    stored = {
        "codes": rng.integers(0, 256, (20, 2, 16), np.uint8),
        "scales": rng.random((20, 2), np.float32),
        "zeros": rng.integers(0, 256, (20, 1), np.uint8),
        "bias": rng.random(20, np.float32),
        "norm": rng.random(48, np.float32),
    }
    attributes = {"K": 48, "N": 20, "bits": 4, "block_size": 32}
    attributes |= {"gated": 0, "activation": 0, "centered": 0, **FLOATS}
    return {"x": rng.random((3, 48), np.float32)}, stored, attributes


def attention() -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """The same of attention of two heads to one, for five tokens of two sequences."""
    rng = np.random.default_rng(0)
    inputs = {
        "queries": rng.random((5, 32), np.float32),
        "keys": rng.random((5, 16), np.float32),
        "values": rng.random((5, 16), np.float32),
        "cache": np.zeros((4, 4096), np.uint8),
        "positions": np.array([0, 1, 2, 20, 21]),
        "seq_begins": np.array([0, 3, 5], np.int32),
        "past_lens": np.array([0, 20], np.int32),
        "block_ids": np.array([2, 1], np.int32),
        "block_begins": np.array([0, 1, 2], np.int32),
    }
    stored = {
        **{name: rng.random((64, 8), np.float32) for name in ("cosines", "sines")},
        "sinks": rng.random(2, np.float32),
        **{name: rng.random(16, np.float32) for name in ("query_norm", "key_norm")},
        "slopes": rng.random((1, 2, 1, 1), np.float32),
    }
    attributes = {"num_heads": 2, "kv_num_heads": 1, "head_size": 16, "block_size": 32}
    more = {"cache_type": 1, "cache_offset": 0, "window": 0, "interleaved": 0, "scores": 0}
    return inputs, stored, attributes | more | {"scale": 0.25, "softcap": 0.0, **FLOATS}


def experts() -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """The same of three experts in MXFP4, of 64 to 32 to 64, for five tokens."""
    rng = np.random.default_rng(0)
    inputs = {"x": rng.random((5, 64), np.float32), "logits": rng.random((5, 3), np.float32)}
    stored = {
        "codes": rng.integers(0, 256, (3, 64, 32), np.uint8),
        "exponents": rng.integers(110, 120, (3, 64, 2), np.uint8),
        "zeros": None,
        "bias": rng.random((3, 64), np.float32),
        "down": rng.integers(0, 256, (3, 64, 16), np.uint8),
        "down_exponents": rng.integers(110, 120, (3, 64, 1), np.uint8),
        "down_zeros": None,
        "down_bias": rng.random((3, 64), np.float32),
        "factors": rng.random(3, np.float32),
        "down_factors": rng.random(3, np.float32),
    }
    sizes = {"experts": 3, "hidden": 64, "inner": 32, "top_k": 2, "bits": 4, "block_size": 32}
    kinds = {"activation": SILU, "shares": 0}
    return inputs, stored, {**sizes, **kinds, "alpha": 1.7, "beta": 1.0, "limit": 7.0}


def float_experts() -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """The same of three experts in f16."""
    rng = np.random.default_rng(0)
    inputs, stored, attributes = experts()
    names = dict.fromkeys(stored)
    names["codes"] = rng.random((3, 64, 64), np.float32).astype(np.float16)
    names["down"] = rng.random((3, 64, 32), np.float32).astype(np.float16)
    return inputs, names, {**attributes, "bits": 16}


def states(numbers: int) -> dict[str, Any]:
    """Tables of states of so many numbers, for five tokens of two sequences."""
    return {
        "states": np.zeros((6, numbers), np.float32),
        "seq_begins": np.array([0, 3, 5], np.int32),
        "slots": np.array([0, 1, 2, 3, 4], np.int32),
        "state_begins": np.array([0, 3, 5], np.int32),
        "intervals": np.array([2, 2], np.int32),
        "offsets": np.array([0, 0], np.int32),
    }


def convolution() -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """The same of a convolution of 20 channels over four tokens, for five tokens."""
    rng = np.random.default_rng(0)
    inputs = {
        "x": rng.random((5, 20), np.float32),
        "weight": rng.random((4, 20), np.float32),
        "bias": rng.random(20, np.float32),
    }
    return inputs | states(60), {}, {"silu": 1, "state_offset": 0}


def linear_attention() -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """The same of a gated delta rule of four heads, for five tokens."""
    rng = np.random.default_rng(0)
    inputs = {
        "queries": rng.random((1, 5, 16), np.float32),
        "keys": rng.random((1, 5, 16), np.float32),
        "values": rng.random((1, 5, 24), np.float32),
        "steps": rng.random((1, 5, 4), np.float32),
        "bias": rng.random(4, np.float32),
        "decay": -rng.random(4, np.float32),
        "betas": rng.random((1, 5, 4), np.float32),
    }
    attributes = {"num_heads": 4, "key_heads": 2, "key_size": 8, "value_size": 6, "unit": 1}
    reals = {"scale": 0.3, "epsilon": 1e-6, "least": 0.0, "most": 100.0}
    return inputs | states(4 * 8 * 16), {}, {**attributes, "state_offset": 0, **reals}


CASES = {
    "Linear": (linear, (3, 20)),
    "PagedAttention": (attention, (5, 32)),
    "Experts": (experts, (5, 64)),
    "FloatExperts": (float_experts, (5, 64)),
    "CausalConvolution": (convolution, (5, 20)),
    "LinearAttention": (linear_attention, (1, 5, 24)),
}


@pytest.mark.parametrize("kind", CASES)
def test_operators_run_what_fits(kind: str) -> None:
    make, shape = CASES[kind]
    found = run(kind, *make())
    assert isinstance(found, np.ndarray), found
    assert found.shape == shape


@pytest.mark.parametrize("kind", CASES)
@MANY
@given(data=st.data())
def test_operators_refuse_other_attributes(kind: str, data: st.DataObject) -> None:
    make, shape = CASES[kind]
    inputs, stored, attributes = make()
    name = data.draw(st.sampled_from([name for name, n in attributes.items() if type(n) is int]))
    value = data.draw(st.none() | ODD)
    if value is None:
        del attributes[name]
    else:
        attributes[name] = value
    found = run(kind, inputs, stored, attributes)
    assert isinstance(found, str) or found.shape[:-1] == shape[:-1]


@pytest.mark.parametrize("kind", CASES)
@MANY
@given(data=st.data())
def test_operators_refuse_other_tensors(kind: str, data: st.DataObject) -> None:
    make, shape = CASES[kind]
    inputs, stored, attributes = make()
    name = data.draw(st.sampled_from([*inputs, *stored]))
    where = inputs if name in inputs else stored
    sizes = data.draw(st.lists(st.integers(0, 40), max_size=3))
    was = np.dtype(np.uint8) if where[name] is None else where[name].dtype
    type_ = data.draw(st.just(was) | TYPES)
    where[name] = data.draw(st.none() | st.just(np.ones(sizes, type_)))
    found = run(kind, inputs, stored, attributes)
    assert isinstance(found, str) or found.ndim > 0 or found.shape == shape


@pytest.mark.parametrize("table", ["seq_begins", "past_lens", "block_ids", "block_begins"])
@MANY
@given(data=st.data())
def test_attention_refuses_tables_that_lead_out(table: str, data: st.DataObject) -> None:
    inputs, stored, attributes = attention()
    entries = inputs[table]
    low, high = -(2**31), 2**31 - 1
    value = data.draw(st.integers(-3, 40) | st.sampled_from([low, high]))
    entries[data.draw(st.integers(0, len(entries) - 1))] = value
    found = run("PagedAttention", inputs, stored, attributes)
    assert isinstance(found, str) or found.shape == (5, 32)


@pytest.mark.parametrize("table", ["seq_begins", "slots", "state_begins", "intervals", "offsets"])
@pytest.mark.parametrize("kind", ["CausalConvolution", "LinearAttention"])
@MANY
@given(data=st.data())
def test_operators_refuse_tables_of_states_that_lead_out(
    kind: str, table: str, data: st.DataObject
) -> None:
    make, shape = CASES[kind]
    inputs, stored, attributes = make()
    entries = inputs[table]
    value = data.draw(st.integers(-3, 40) | st.sampled_from([-(2**31), 2**31 - 1]))
    entries[data.draw(st.integers(0, len(entries) - 1))] = value
    found = run(kind, inputs, stored, attributes)
    assert isinstance(found, str) or found.shape == shape


@pytest.mark.parametrize("scale", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("type_", [np.float32, np.float16])
def test_linear_refuses_scales_that_are_not_finite_by_name(scale: float, type_: type) -> None:
    inputs, stored, attributes = linear()
    stored["scales"] = stored["scales"].astype(type_)
    stored["scales"][7, 1] = scale
    assert "codes: scales are not finite" in str(run("Linear", inputs, stored, attributes))


@pytest.mark.parametrize("width", [1, 7, 1000, 50_000])
def test_likeliest_is_the_first_of_the_largest(width: int) -> None:
    logits = np.random.default_rng(width).normal(size=(1, 4, width)).astype(np.float32)
    logits[0, 1, [width // 2, width - 1]] = 9
    logits[0, 2] = -np.inf
    logits[0, 3, [width // 3, width - 1]] = np.nan
    found = run("Likeliest", {"logits": logits}, {}, {})
    assert found.tolist() == logits[0].argmax(axis=1).tolist()


@pytest.mark.parametrize("logits", [np.zeros((3, 0), np.float32), np.zeros((), np.float32)])
def test_likeliest_refuses_what_has_no_columns(logits: np.ndarray) -> None:
    assert "no last axis" in run("Likeliest", {"logits": logits}, {}, {})
