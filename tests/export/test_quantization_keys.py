"""What a quantization config asks for beside quantized weights is done, or refused by its name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import quantized_checkpoints as checkpoints
from support.quantized_cases import DEQUANTIZED, PACKED

from nanoaccel.errors import NanoAccelError, SourceError, UnsupportedModelError
from nanoaccel.exporters.quiet import quiet
from nanoaccel.exporters.source.model_source import load, resolve
from nanoaccel.exporters.source.prequantized import detect, find_quantization

pytestmark = pytest.mark.export

GPTQ = {"quant_method": "gptq", "bits": 4, "group_size": 128, "desc_act": False}
AWQ = {"quant_method": "awq", "bits": 4, "group_size": 64, "version": "gemm"}
BITSANDBYTES = {"quant_method": "bitsandbytes", "load_in_4bit": True}
WEIGHTS = {"num_bits": 4, "group_size": 128, "type": "int", "dynamic": False}
EIGHT_BITS = {"num_bits": 8, "dynamic": True}


def compressed(group: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    groups = {"group_0": {"targets": ["Linear"], "weights": WEIGHTS, **(group or {})}}
    named = {"quant_method": "compressed-tensors", "format": "pack-quantized"}
    return {**named, "config_groups": groups, **more}


@pytest.mark.parametrize(
    ("quantization", "key"),
    [
        (compressed(transform_config={"config_groups": {"R1": {}}}), "transform_config"),
        (compressed(kv_cache_scheme=EIGHT_BITS), "kv_cache_scheme"),
        (compressed({"input_activations": EIGHT_BITS}), r"group_0\.input_activations"),
        (compressed({"output_activations": EIGHT_BITS}), r"group_0\.output_activations"),
        (compressed({"weights": {**WEIGHTS, "dynamic": True}}), "dynamic = True"),
        (compressed({"weights": {**WEIGHTS, "rounding": "odd"}}), "rounding = odd"),
        (compressed(quantization_status="calibration"), "quantization_status = calibration"),
        ({**GPTQ, "rotation": "hadamard"}, "rotation = hadamard"),
        ({**GPTQ, "adapter": {"name": "lora", "rank": 32}}, "adapter = "),
        ({**GPTQ, "pack_dtype": "int8"}, "pack_dtype = int8"),
        ({**GPTQ, "online_had": True}, "online_had = True"),
        ({**GPTQ, "kv_cache_scheme": EIGHT_BITS}, "kv_cache_scheme"),
        ({**GPTQ, "nobody_knows": 0}, "nobody_knows = 0"),
        ({**AWQ, "zero_point": False}, "zero_point = False"),
        ({**AWQ, "activation_scheme": "static"}, "activation_scheme = static"),
        ({**BITSANDBYTES, "hadamard": True}, "hadamard = True"),
    ],
)
def test_detect_refuses_keys_that_change_arithmetic(quantization: dict[str, Any], key: str) -> None:
    with pytest.raises(UnsupportedModelError, match=f"asks for what is not done here: .*{key}"):
        detect({"quantization_config": quantization})


@pytest.mark.parametrize(
    "quantization",
    [
        compressed(transform_config={}, kv_cache_scheme=None, version="0.12.2"),
        compressed({"input_activations": None}, sparsity_config={}),
        {**GPTQ, "rotation": None, "adapter": None, "damp_percent": 0.05, "static_groups": False},
        {**GPTQ, "dynamic": {"-:lm_head": {}}, "pack_dtype": "int32", "meta": {"mse": 0.0}},
        {**AWQ, "modules_to_fuse": None, "do_fuse": False, "zero_point": True},
        {**BITSANDBYTES, "llm_int8_threshold": 6.0, "_load_in_8bit": False},
    ],
)
def test_detect_takes_keys_that_leave_arithmetic_alone(quantization: dict[str, Any]) -> None:
    assert detect({"quantization_config": quantization}) is not None


@pytest.mark.parametrize(
    "quantization", ["gptq", [], {**GPTQ, "bits": "four"}, {**compressed(), "config_groups": [1]}]
)
def test_detect_refuses_what_is_no_config(quantization: Any) -> None:
    with pytest.raises(NanoAccelError):
        detect({"quantization_config": quantization})


def move_config(folder: Path, name: str, **more: Any) -> None:
    """Where older tools put it: into a file of its own, without the method."""
    config = json.loads((folder / "config.json").read_text())
    quantization = {**config.pop("quantization_config"), **more}
    (folder / "config.json").write_text(json.dumps(config))
    del quantization["quant_method"]
    (folder / name).write_text(json.dumps(quantization))


@pytest.mark.parametrize(
    ("kind", "file"), [("gptq-asym", "quantize_config.json"), ("awq", "quant_config.json")]
)
def test_load_reads_folders_of_older_quantizers(tmp_path: Path, kind: str, file: str) -> None:
    expected = PACKED[kind](tmp_path)
    move_config(tmp_path, file)
    (tmp_path / "model.safetensors").rename(tmp_path / "gptq_model-4bit-32g.safetensors")
    with quiet():
        model, packed = load(resolve(str(tmp_path)), "int4")
    assert set(packed) == set(expected)
    for name, weight in expected.items():
        found = model.get_submodule(name).weight.detach().float().numpy()
        np.testing.assert_allclose(found, weight, rtol=1e-2, atol=1e-3)


def test_find_quantization_refuses_unknown_keys_in_files_of_their_own(tmp_path: Path) -> None:
    PACKED["gptq"](tmp_path)
    move_config(tmp_path, "quantize_config.json", online_had=True)
    with pytest.raises(UnsupportedModelError, match="online_had"):
        find_quantization(tmp_path)
    (tmp_path / "quantize_config.json").rename(tmp_path / "hf_quant_config.json")
    with pytest.raises(UnsupportedModelError, match=r"hf_quant_config\.json"):
        find_quantization(tmp_path)


def loaded(folder: Path) -> None:
    with quiet():
        load(resolve(str(folder)), "int4")


@pytest.mark.parametrize("kind", ["gptq", "awq", "pack-quantized", "int-quantized", "nf4"])
def test_load_refuses_tensors_that_a_quantized_model_has_no_use_for(
    tmp_path: Path, kind: str
) -> None:
    {**PACKED, **DEQUANTIZED}[kind](tmp_path)
    name = "model.layers.0.self_attn.q_proj"
    checkpoints.edit_tensors(
        tmp_path, lambda t: t.update({f"{name}.input_scale": t["model.norm.weight"][:1].clone()})
    )
    with pytest.raises(SourceError, match=rf"no LlamaForCausalLM .*{name}\.input_scale"):
        loaded(tmp_path)


def test_load_takes_biases_of_zeros_and_no_others(tmp_path: Path) -> None:
    PACKED["gptq"](tmp_path)
    name = "model.layers.0.self_attn.o_proj.bias"
    checkpoints.edit_tensors(tmp_path, lambda t: t.update({name: t["model.norm.weight"] * 0}))
    loaded(tmp_path)
    checkpoints.edit_tensors(tmp_path, lambda t: t.update({name: t["model.norm.weight"].clone()}))
    with pytest.raises(SourceError, match=name):
        loaded(tmp_path)


@pytest.mark.parametrize("kind", ["gptq", "awq"])
def test_load_refuses_a_group_size_that_the_scales_have_not(tmp_path: Path, kind: str) -> None:
    expected = PACKED[kind](tmp_path)
    path = tmp_path / "config.json"
    config = json.loads(path.read_text())
    config["quantization_config"]["group_size"] = 64
    path.write_text(json.dumps(config))
    drop = [f"{name}.g_idx" for name in expected]
    checkpoints.edit_tensors(tmp_path, lambda t: [t.pop(name, None) for name in drop])
    with pytest.raises(SourceError, match="expected a row for each 64 of"):
        loaded(tmp_path)


def test_load_refuses_a_quantized_config_of_plain_weights(tiny_model: Path, tmp_path: Path) -> None:
    import shutil

    folder = Path(shutil.copytree(tiny_model, tmp_path / "model"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "quantization_config": GPTQ}))
    with pytest.raises(SourceError, match=r"GPTQ 4-bit.* by their config, and none of them is"):
        loaded(folder)
