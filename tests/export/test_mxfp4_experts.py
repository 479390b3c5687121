"""gpt-oss as it is published, with experts in MXFP4."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import tiny_configs
from support.quantized_cases import load

torch = pytest.importorskip("torch")

import ml_dtypes  # noqa: E402
import openvino as ov  # noqa: E402
from support.traced_graphs import compressed  # noqa: E402

from nanoaccel.errors import SourceError  # noqa: E402
from nanoaccel.exporters.quantize.recipe import Recipe  # noqa: E402
from nanoaccel.exporters.quiet import quiet  # noqa: E402
from nanoaccel.exporters.targets.openvino.trace import trace  # noqa: E402
from nanoaccel.openvino_core import openvino_core  # noqa: E402

pytestmark = pytest.mark.export

CONFIG = {"quant_method": "mxfp4", "modules_to_not_convert": ["model.layers.*.self_attn"]}
GATE_UP = "model.layers.0.mlp.experts.gate_up_proj"


def write(folder: Path) -> dict[str, Any]:
    """A checkpoint of random blocks, as OpenAI lays it out; its experts in f32 by name."""
    from safetensors.torch import save_file

    model = tiny_configs.make_model(tiny_configs.Family("gpt_oss")).bfloat16()
    model.save_pretrained(folder)
    rng, state, expected = np.random.default_rng(0), dict(model.state_dict()), {}
    for name in [name for name in state if name.endswith(("gate_up_proj", "down_proj"))]:
        experts, columns, rows = state.pop(name).shape
        blocks = rng.integers(0, 256, (experts, rows, columns // 32, 16), np.uint8)
        scales = rng.integers(118, 130, blocks.shape[:3], np.uint8)
        codes = np.stack([blocks & 15, blocks >> 4], -1).reshape(*blocks.shape[:3], 32)
        numbers = codes.view(ml_dtypes.float4_e2m1fn).astype(np.float32)
        powers = scales.view(ml_dtypes.float8_e8m0fnu).astype(np.float32)
        whole = (numbers * powers[..., None]).reshape(experts, rows, columns)
        expected[name] = whole.transpose(0, 2, 1)
        state |= {f"{name}_blocks": torch.tensor(blocks), f"{name}_scales": torch.tensor(scales)}
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, model_file(folder))
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "quantization_config": CONFIG}))
    return expected


def model_file(folder: Path) -> Path:
    return folder / "model.safetensors"


def test_load_quantized_reads_mxfp4_experts_exactly(tmp_path: Path) -> None:
    expected = write(tmp_path)
    model, packed = load(tmp_path)
    assert packed == {}
    assert len(expected) == 4
    found = dict(model.named_parameters())
    for name, wanted in expected.items():
        np.testing.assert_array_equal(found[name].detach().float().numpy(), wanted)
    assert not hasattr(model.config, "quantization_config")


def _without_scales(state: dict[str, Any]) -> None:
    del state[f"{GATE_UP}_scales"]


def _cut(state: dict[str, Any]) -> None:
    state[f"{GATE_UP}_scales"] = state[f"{GATE_UP}_scales"][:, 1:].contiguous()


def _no_number(state: dict[str, Any]) -> None:
    state[f"{GATE_UP}_scales"][0, 0, 0] = 255


def _no_blocks(state: dict[str, Any]) -> None:
    for name in [name for name in state if name.endswith(("_blocks", "_scales"))]:
        del state[name]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_without_scales, f"no {GATE_UP}"),
        (_cut, "expected shape"),
        (_no_number, "not finite"),
        (_no_blocks, "none of them is"),
    ],
)
def test_load_quantized_refuses_mxfp4_that_does_not_fit(
    change: Any, message: str, tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    write(tmp_path)
    state = load_file(model_file(tmp_path))
    change(state)
    save_file(state, model_file(tmp_path))
    with pytest.raises(SourceError, match=message):
        load(tmp_path)


def test_openvino_keeps_mxfp4_experts_as_they_are(tmp_path: Path) -> None:
    """Compression in the same type finds the same exponents and codes."""
    expected = write(tmp_path)
    model, _ = load(tmp_path)
    with quiet():
        graph = trace(model.float(), tmp_path)
    small = compressed(graph, Recipe(weights="mxfp4"))
    stored = {
        node.get_friendly_name().removeprefix("self."): node
        for node in small.get_ops()
        if node.get_output_size() == 1 and node.get_output_element_type(0) == ov.Type.f4e2m1
    }
    for name, wanted in expected.items():
        value = stored[name]
        while value.get_type_name() != "Multiply":
            (reader,) = value.output(0).get_target_inputs()
            value = reader.get_node()
        run = openvino_core().compile_model(ov.Model([value.output(0)], []), "CPU")
        rows = wanted.transpose(0, 2, 1)
        found = run([])[0].astype(np.float32).reshape(rows.shape)
        np.testing.assert_array_equal(found, rows)


def test_onnx_keeps_mxfp4_experts_as_they_are(tmp_path: Path) -> None:
    """Integers of 8 bits hold all its numbers."""
    pytest.importorskip("onnx_ir")
    from nanoaccel.exporters.targets.onnx.stacks import read_stack

    expected = write(tmp_path)
    model, _ = load(tmp_path)
    with quiet():
        graph = trace(model.float(), tmp_path)
    found = {}
    for node in compressed(graph, Recipe(weights="mxfp4")).get_ops():
        if node.get_type_name() == "MatMul" and len(node.get_input_partial_shape(1)) == 3:
            name = node.get_friendly_name().removeprefix("__module.").removesuffix("/MatMul")
            weights, rows = read_stack(node)
            found[name] = weights.dequantize().reshape(-1, rows, weights.columns)
    assert found.keys() == expected.keys()
    for name, wanted in expected.items():
        np.testing.assert_array_equal(found[name].transpose(0, 2, 1), wanted)


def test_openvino_runs_mxfp4_experts_as_integers(tmp_path: Path) -> None:
    """None is widened, and the logits are the same."""
    from nanoaccel.exporters.targets.openvino.runner import graph_inputs
    from nanoaccel.runtime.backends.openvino.narrow_experts import as_integers

    write(tmp_path)
    model, _ = load(tmp_path)
    with quiet():
        graph = trace(model.float(), tmp_path)
    small = compressed(graph, Recipe(weights="mxfp4"))
    hint = {"INFERENCE_PRECISION_HINT": "f32"}
    tokens = np.arange(3, 20)
    wanted = openvino_core().compile_model(small, "CPU", hint)(graph_inputs(small, tokens))[
        "logits"
    ]
    assert as_integers(small) == 4
    compiled = openvino_core().compile_model(small, "CPU", hint)
    found = compiled(graph_inputs(small, tokens))["logits"]
    assert np.abs(found - wanted).max() <= 1e-4 * np.abs(wanted).max()
    nodes = {node.get_rt_info()["layerType"].astype(str): node for node in _ops(compiled)}
    if "GatherMatmul" in nodes:
        assert nodes["GatherMatmul"].input(1).get_element_type() == ov.Type.i8


def _ops(compiled: Any) -> list[Any]:
    found: list[Any] = compiled.get_runtime_model().get_ops()
    return found
