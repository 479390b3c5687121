"""Graphs whose attention over slots becomes one over blocks, and those that keep it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")

from nanoaccel.bundle import packed_graph as contract  # noqa: E402
from nanoaccel.runtime.backends import BackendOptions  # noqa: E402
from nanoaccel.runtime.backends.onnxruntime import load  # noqa: E402
from nanoaccel.runtime.backends.onnxruntime.operators import rewrite  # noqa: E402
from nanoaccel.runtime.backends.onnxruntime.operators.attention import CacheType  # noqa: E402
from nanoaccel.runtime.backends.onnxruntime.operators.likeliest import LIKELIEST  # noqa: E402
from nanoaccel.runtime.native import find_operators  # noqa: E402
from nanoaccel.runtime.types.packing import even_plan  # noqa: E402

OPERATORS = find_operators()
needs_operators = pytest.mark.skipif(OPERATORS.library is None, reason=OPERATORS.reason)
HEADS, KV_HEADS, SIZE, VOCABULARY = 4, 2, 32, 50
TYPES = {"int64": 7, "int32": 6, "float32": 1}


def head_norms(layer: int, epsilons: tuple[float, float]) -> tuple[list[Any], list[str]]:
    """Queries, keys and values apart, the first two with a norm of each head."""
    node = onnx.helper.make_node
    names = [f"{part}{layer}" for part in "qkv"]
    nodes = [node("Split", [f"x{layer}", "sizes"], names, axis=-1)]
    for name, epsilon in zip(names[:2], epsilons, strict=True):
        heads, normed, packed = (f"{name}/{step}" for step in ("heads", "normed", "packed"))
        nodes += [
            node("Reshape", [name, "by_head"], [heads]),
            node("SimplifiedLayerNormalization", [heads, "norm"], [normed], epsilon=epsilon),
            node("Reshape", [normed, f"{name[0]}_width"], [packed]),
        ]
    return nodes, [f"{names[0]}/packed", f"{names[1]}/packed", names[2]]


def alibi() -> tuple[list[Any], dict[str, np.ndarray]]:
    """A bias of scores by the distance between query and key, and what it is made of."""
    node = onnx.helper.make_node
    nodes = [
        node("Range", ["i32_0", contract.TOTAL_LENGTH, "i32_1"], ["keys"]),
        node("Cast", ["keys"], ["wide_keys"], to=7),
        node("Unsqueeze", [contract.ROW_POSITIONS, "axes"], ["queries"]),
        node("Sub", ["wide_keys", "queries"], ["distances"]),
        node("Cast", ["distances"], [contract.ALIBI_DISTANCES], to=1),
        node("Mul", ["slopes", contract.ALIBI_DISTANCES], ["bias"]),
    ]
    slopes = 0.5 ** np.arange(1, HEADS + 1, dtype=np.float32).reshape(1, HEADS, 1, 1)
    constants = {"i32_0": np.array(0, np.int32), "i32_1": np.array(1, np.int32)}
    return nodes, {**constants, "axes": np.array([1, 3]), "slopes": slopes}


def packed_model(
    layers: int = 2,
    epsilons: tuple[float, float] | None = None,
    slopes: bool = False,
    **attributes: Any,
) -> Any:
    """Layers of attention over what an embedding gives, and logits.

    Args:
        epsilons: Of norms of the heads of queries and keys; None without these.
        slopes: Whether positions are told by ALiBi, else by rotation.
        attributes: Of the attention.
    """
    random = np.random.default_rng(0)
    width = (HEADS + 2 * KV_HEADS) * SIZE
    node, info = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    stored = {"table": random.normal(size=(VOCABULARY, width)).astype(np.float32)}
    angles = np.outer(np.arange(128), 0.8 ** np.arange(SIZE // 2))
    stored |= {"cos": np.cos(angles).astype(np.float32), "sin": np.sin(angles).astype(np.float32)}
    stored["norm"] = random.uniform(0.5, 1.5, SIZE).astype(np.float32)
    for name, value in (
        ("sizes", [HEADS * SIZE, KV_HEADS * SIZE, KV_HEADS * SIZE]),
        *(("by_head", [0, -1, SIZE]), ("q_width", [0, -1, HEADS * SIZE])),
        ("k_width", [0, -1, KV_HEADS * SIZE]),
    ):
        stored[name] = np.array(value, np.int64)
    nodes = [node("Gather", ["table", "input_ids"], ["x0"], "/embed")]
    if slopes:
        more, constants = alibi()
        nodes, stored = nodes + more, stored | constants
    shape = contract.cache_shape(KV_HEADS, SIZE)
    inputs = [
        info(name, TYPES[spec.dtype], spec.shape)
        for name, spec in contract.INPUTS.items()
        if spec.required or name == contract.ROW_POSITIONS
    ]
    outputs = [info(contract.LOGITS, 1, [1, "R", VOCABULARY])]
    others = ["bias" if slopes else "", *[""] * 5]
    for layer in range(layers):
        pasts, presents = (
            [name(layer, kind) for kind in contract.CACHE_KINDS]
            for name in (contract.past_name, contract.present_name)
        )
        inputs += [info(name, 1, shape) for name in pasts]
        outputs += [info(name, 1, shape) for name in presents]
        rows = [contract.SEQLENS_K, contract.TOTAL_LENGTH, "cos", "sin", contract.ROW_POSITIONS]
        normed, sources = head_norms(layer, epsilons) if epsilons else ([], [f"x{layer}"])
        padded = [f"{source}/padded" for source in sources]
        nodes += [
            *normed,
            *(
                node("GatherND", [source, contract.QUERY_MAP], [name])
                for source, name in zip(sources, padded, strict=True)
            ),
            node(
                "GroupQueryAttention",
                [*padded, *[""] * (3 - len(padded)), *pasts, *rows, *others, "query_seqlens"],
                [f"attended{layer}", *presents],
                f"/layers.{layer}/attention",
                domain="com.microsoft",
                num_heads=HEADS,
                kv_num_heads=KV_HEADS,
                do_rotary=int(not slopes),
                **attributes,
            ),
            node("GatherND", [f"attended{layer}", contract.TOKEN_MAP], [f"back{layer}"]),
            node("MatMul", [f"back{layer}", f"w{layer}"], [f"x{layer + 1}"]),
        ]
        stored[f"w{layer}"] = random.normal(size=(HEADS * SIZE, width)).astype(np.float32) / 9
    stored["last"] = random.normal(size=(width, VOCABULARY)).astype(np.float32)
    nodes.append(node("Gather", [f"x{layers}", contract.LOGITS_ROWS], ["rows"], axis=1))
    nodes.append(node("MatMul", ["rows", "last"], [contract.LOGITS]))
    tensors = [onnx.numpy_helper.from_array(array, name) for name, array in stored.items()]
    graph = onnx.helper.make_graph(nodes, "packed", inputs, outputs, tensors)
    sets = [onnx.helper.make_opsetid(*one) for one in (("", 21), ("com.microsoft", 1))]
    return onnx.helper.make_model(graph, opset_imports=sets, ir_version=10)


def save(model: Any, folder: Path) -> Path:
    path = folder / "model.onnx"
    onnx.save(model, path)
    return path


def logits(graph: Path, **options: Any) -> list[np.ndarray]:
    """Of a prompt of 70 tokens in three passes, beside another one."""
    backend = load(BackendOptions(graph=graph, **options))
    backend.allocate_cache(6)
    found = []
    for past, count in ((0, 40), (40, 1), (41, 29)):
        blocks = list(range(-(-(past + count) // backend.info.block_size)))
        plan = even_plan([blocks], past, count, all_rows=True)
        plan.token_ids[:] = (np.arange(past, past + count) * 7) % VOCABULARY
        found.append(backend.forward(plan).logits.copy())
    backend.close()
    return found


@needs_operators
@pytest.mark.parametrize(
    "attributes",
    [
        *({}, {"scale": 0.3}, {"local_window_size": 20}, {"softcap": 4.0}),
        *({"slopes": True}, {"slopes": True, "softcap": 4.0}),
        *({"rotary_interleaved": 1}, {"epsilons": (1e-2, 1e-2)}, {"epsilons": (1e-2, 1e-3)}),
    ],
    ids=str,
)
def test_blocks_give_what_slots_give(
    attributes: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = save(packed_model(**attributes), tmp_path)
    found = logits(graph, precision="f32")
    monkeypatch.setenv("NANOACCEL_ISA", "none")
    for own, stock in zip(found, logits(graph, precision="f32"), strict=True):
        np.testing.assert_allclose(own, stock, atol=2e-4)


@needs_operators
def test_blocks_hold_what_their_layout_says(tmp_path: Path) -> None:
    graph = save(packed_model(layers=3), tmp_path)
    sizes = {"f32": 4 * SIZE, "f16": 2 * SIZE, "bf16": 2 * SIZE, "u8": SIZE + 4, "u4": SIZE / 2 + 4}
    for precision, size in sizes.items():
        backend = load(BackendOptions(graph=graph, cache_precision=precision))  # type: ignore[arg-type]
        assert backend.block_bytes == 3 * KV_HEADS * 32 * 2 * size
        assert backend.info.cache_precision == {"u8": "i8"}.get(precision, precision)
        assert backend.info.own_operators
        backend.close()


@pytest.mark.parametrize("made_with", [{}, {"epsilons": (1e-5, 1e-5)}, {"slopes": True}], ids=str)
def test_rewrite_gives_a_graph_over_blocks(made_with: dict[str, Any], tmp_path: Path) -> None:
    found = rewrite(save(packed_model(**made_with), tmp_path), CacheType.F16)
    assert found is not None
    assert found.blocks is not None
    graph = onnx.load_from_string(found.model).graph
    kinds = {node.op_type for node in graph.node}
    assert kinds == {"Gather", "PagedAttention", "FloatLinear", "Likeliest"}
    assert [item.name for item in graph.output] == [contract.LOGITS, LIKELIEST]
    assert not {item.name for item in graph.input} & {contract.QUERY_MAP, contract.SEQLENS_K}


def test_rewrite_leaves_norms_that_differ_or_are_of_whole_rows(tmp_path: Path) -> None:
    differing = rewrite(save(packed_model(epsilons=(1e-5, 1e-6)), tmp_path), CacheType.F16)
    model = packed_model(epsilons=(1e-5, 1e-5))
    (weight,) = [one for one in model.graph.initializer if one.name == "norm"]
    weight.CopyFrom(onnx.numpy_helper.from_array(np.ones(2 * SIZE, np.float32), "norm"))
    for found in (differing, rewrite(save(model, tmp_path), CacheType.F16)):
        assert found is not None
        kinds = [node.op_type for node in onnx.load_from_string(found.model).graph.node]
        assert kinds.count("SimplifiedLayerNormalization") == 4
        assert kinds.count("PagedAttention") == 2


def _attention(model: Any) -> Any:
    return next(node for node in model.graph.node if node.op_type == "GroupQueryAttention")


def _other_attribute(model: Any) -> None:
    _attention(model).attribute.append(onnx.helper.make_attribute("smooth_softmax", 1))


def _bias(model: Any) -> None:
    _attention(model).input[10] = "table"


def _other_slopes(model: Any) -> None:
    nodes, constants = alibi()
    for node in reversed(nodes):
        model.graph.node.insert(0, node)
    _attention(model).input[10] = "bias"
    for name, value in constants.items():
        value = value[:, :1] if name == "slopes" else value
        model.graph.initializer.append(onnx.numpy_helper.from_array(value, name))


def _without_gather(model: Any) -> None:
    _attention(model).input[0] = "x0"


def _second_reader(model: Any) -> None:
    model.graph.node.append(onnx.helper.make_node("Relu", ["attended0"], ["other"]))


def _odd_heads(model: Any) -> None:
    for item in model.graph.input:
        if contract.cache_of(item.name) is not None:
            item.type.tensor_type.shape.dim[3].dim_value = 40


@pytest.mark.parametrize(
    "change",
    [_other_attribute, _bias, _other_slopes, _without_gather, _second_reader, _odd_heads],
)
def test_rewrite_leaves_attention_that_asks_for_more(
    change: Callable[[Any], None], tmp_path: Path
) -> None:
    model = packed_model()
    change(model)
    found = rewrite(save(model, tmp_path), CacheType.F16)
    assert found is not None
    assert (found.blocks, found.linears, found.row_wise) == (None, 3, False)
