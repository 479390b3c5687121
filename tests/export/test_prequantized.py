"""Checkpoints that come quantized: what is read from them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import quantized_checkpoints as checkpoints
from support.quantized_cases import DEQUANTIZED, PACKED, gptq, load

from nanoaccel.errors import SourceError, UnsupportedModelError
from nanoaccel.exporters.source.prequantized import PackedWeight, detect
from nanoaccel.exporters.source.prequantized.packed import on_grid
from nanoaccel.testing import tiny_models

pytestmark = pytest.mark.export

DOWN = "model.layers.1.mlp.down_proj"


@pytest.mark.parametrize("name", [*PACKED, *DEQUANTIZED])
def test_load_quantized_finds_the_weights_that_were_stored(tmp_path: Path, name: str) -> None:
    expected = {**PACKED, **DEQUANTIZED}[name](tmp_path)
    model, packed = load(tmp_path)
    assert set(packed) == (set(expected) if name in PACKED else set())
    modules = dict(model.named_modules())
    for module, weight in expected.items():
        found = modules[module].weight.detach().numpy()
        np.testing.assert_allclose(found, weight, rtol=1e-6, atol=1e-7)
        if module in packed:
            np.testing.assert_array_equal(packed[module].dequantize(), found)
    assert not hasattr(model.config, "quantization_config")


def test_load_quantized_reads_shards(tmp_path: Path) -> None:
    expected = PACKED["gptq"](tmp_path)
    checkpoints.split_in_shards(tmp_path)
    _, packed = load(tmp_path)
    assert set(packed) == set(expected)
    (tmp_path / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(SourceError, match=r"model-00002-of-00002\.safetensors, which does not"):
        load(tmp_path)


def test_load_quantized_refuses_truncated_and_absent_files(tmp_path: Path) -> None:
    PACKED["gptq"](tmp_path)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(SourceError, match=r"model\.safetensors cannot be read"):
        load(tmp_path)
    weights.unlink()
    with pytest.raises(SourceError, match=r"has no \*\.safetensors"):
        load(tmp_path)


def test_load_quantized_keeps_tied_embeddings_and_the_generation_config(tmp_path: Path) -> None:
    gptq(kind="qwen2", tie_word_embeddings=True)(tmp_path)
    checkpoints.edit_tensors(tmp_path, lambda tensors: tensors.pop("lm_head.weight", None))
    (tmp_path / "generation_config.json").write_text('{"eos_token_id": [1, 2]}')
    model, _ = load(tmp_path)
    assert model.lm_head.weight is model.model.embed_tokens.weight
    assert model.generation_config.eos_token_id == [1, 2]


def test_load_quantized_reads_gptq_without_group_indices(tmp_path: Path) -> None:
    expected = PACKED["gptq"](tmp_path)
    drop = [f"{name}.g_idx" for name in expected]
    checkpoints.edit_tensors(tmp_path, lambda tensors: [tensors.pop(name) for name in drop])
    _, packed = load(tmp_path)
    np.testing.assert_allclose(packed[DOWN].dequantize(), expected[DOWN], rtol=1e-6)


@pytest.mark.parametrize(("version", "word"), [("gptq", -0x11111111), ("gptq_v2", 0)])
def test_load_quantized_reads_zero_points_of_zero(tmp_path: Path, version: str, word: int) -> None:
    gptq(version=version)(tmp_path)
    checkpoints.edit_tensors(tmp_path, lambda tensors: tensors[f"{DOWN}.qzeros"].fill_(word))
    assert (load(tmp_path)[1][DOWN].zero_points == 0).all()


def test_load_quantized_reads_zero_points_that_are_not_packed(tmp_path: Path) -> None:
    import torch

    expected = PACKED["pack-quantized"](tmp_path)
    zeros = torch.full((64, 3), -2, dtype=torch.int8)
    checkpoints.edit_tensors(
        tmp_path, lambda tensors: tensors.update({f"{DOWN}.weight_zero_point": zeros})
    )
    packed = load(tmp_path)[1][DOWN]
    assert (packed.zero_points == 6).all()
    shift = 2 * np.repeat(packed.scales, packed.group_size, axis=1)
    np.testing.assert_allclose(packed.dequantize(), expected[DOWN] + shift, rtol=1e-5, atol=1e-6)


def test_load_quantized_reads_bitsandbytes_bytes_of_any_type(tmp_path: Path) -> None:
    import torch

    expected = DEQUANTIZED["nf4"](tmp_path)
    name = f"{DOWN}.weight"
    checkpoints.edit_tensors(
        tmp_path,
        lambda tensors: tensors.update({name: tensors[name].view(-1).view(torch.bfloat16)}),
    )
    found = load(tmp_path)[0].get_submodule(DOWN).weight.detach().numpy()
    np.testing.assert_allclose(found, expected[DOWN], rtol=1e-6)


def test_load_quantized_dequantizes_groups_of_unequal_size(tmp_path: Path) -> None:
    expected = gptq(group=40)(tmp_path)
    model, packed = load(tmp_path)
    assert packed == {}
    found = model.get_submodule(DOWN).weight.detach().numpy()
    np.testing.assert_allclose(found, expected[DOWN], rtol=1e-6)


DAMAGES: dict[str, tuple[str, Callable[[Any], Any] | None, str]] = {
    "gptq": ("qweight", None, "has no {name}.qweight"),
    "gptq-asym": ("qzeros", lambda t: t[:, :5], "{name}.qzeros is int32"),
    "gptq-v2": ("scales", lambda t: t[:, :5], "{name}.scales is float16"),
    "gptq-act-order": ("g_idx", lambda t: t + 9, "{name}.g_idx is int32"),
    "gptq-8-bit": ("qweight", lambda t: t[:5], "{name}.qweight is int32"),
    "gptq-biases": ("scales", lambda t: t * float("nan"), "{name} has scales .* not finite"),
    "awq": ("qzeros", lambda t: t[:, :3], "{name}.qzeros is int32"),
    "awq-biases": ("scales", lambda t: t + float("inf"), "{name} has scales .* not finite"),
    "pack-quantized": ("weight_packed", lambda t: t[:, :3], "{name}.weight_packed is int32"),
    "pack-quantized-asym": ("weight_zero_point", lambda t: t[:1], "{name}.weight_zero_point is"),
    "pack-quantized-act-order": ("weight_g_idx", lambda t: t[:4], "{name}.weight_g_idx is int32"),
    "int-quantized": ("weight_scale", lambda t: t[:5], "{name}.weight_scale is float32"),
    "float-quantized": ("weight", lambda t: t.float(), "{name}.weight is float32"),
    "nf4": ("weight.absmax", lambda t: t[:5], "{name}.weight.absmax is uint8"),
    "nf4-single": ("weight", lambda t: t[:5], "{name}.weight is uint8"),
    "fp4": ("weight.quant_state.bitsandbytes__fp4", lambda t: t[:9], "__fp4 is .* expected JSON"),
    "bnb-int8": ("SCB", None, "has no {name}.SCB"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_load_quantized_names_the_tensor_that_is_wrong(tmp_path: Path, name: str) -> None:
    {**PACKED, **DEQUANTIZED}[name](tmp_path)
    part, damage, message = DAMAGES[name]

    def edit(tensors: dict[str, Any]) -> None:
        tensor = tensors.pop(f"{DOWN}.{part}")
        if damage is not None:
            tensors[f"{DOWN}.{part}"] = damage(tensor).contiguous()

    checkpoints.edit_tensors(tmp_path, edit)
    with pytest.raises(SourceError, match=message.format(name=DOWN)):
        load(tmp_path)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda t: t.pop("model.norm.weight"), r"lacks weights .*: model\.norm\.weight"),
        (
            lambda t: t.update({"model.norm.weight": t["model.norm.weight"][:9].clone()}),
            "model.norm.weight is",
        ),
    ],
    ids=["missing", "odd"],
)
def test_load_quantized_names_plain_tensors_that_are_wrong(
    tmp_path: Path, edit: Callable[[dict[str, Any]], None], message: str
) -> None:
    PACKED["gptq"](tmp_path)
    checkpoints.edit_tensors(tmp_path, edit)
    with pytest.raises(SourceError, match=message):
        load(tmp_path)


def test_load_quantized_refuses_transposed_projections(tmp_path: Path) -> None:
    config = {**tiny_models.make_model("gpt2").config.to_dict()}
    config["quantization_config"] = {"quant_method": "gptq", "bits": 4}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(UnsupportedModelError, match="'gpt2' keeps its projections transposed"):
        load(tmp_path)


WEIGHTS = {"num_bits": 4, "group_size": 128, "actorder": "group"}


@pytest.mark.parametrize(
    ("quantization", "words"),
    [
        ({"quant_method": "gptq", "bits": 4, "group_size": 128, "desc_act": True},
         "GPTQ 4-bit, scale for 128 weights, act-order"),
        ({"quant_method": "gptq", "bits": 8, "group_size": -1, "checkpoint_format": "gptq_v2"},
         "GPTQ 8-bit, gptq_v2"),
        ({"quant_method": "awq", "bits": 4, "group_size": 64, "version": "GEMM"},
         "AWQ 4-bit, gemm, scale for 64 weights"),
        ({"quant_method": "compressed-tensors", "format": "pack-quantized",
          "config_groups": {"group_0": {"weights": WEIGHTS}}},
         "compressed-tensors 4-bit, pack-quantized, scale for 128 weights, act-order"),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"},
         "bitsandbytes 4-bit, nf4"),
        ({"load_in_8bit": True, "load_in_4bit": False}, "bitsandbytes 8-bit, int8"),
    ],
)  # fmt: skip
def test_detect_describes_a_checkpoint(quantization: dict[str, Any], words: str) -> None:
    found = detect({"quantization_config": quantization})
    assert found is not None
    assert found.describe() == words


def test_detect_finds_nothing_in_a_plain_model() -> None:
    assert detect({"model_type": "llama"}) is None


@pytest.mark.parametrize(
    ("quantization", "name"),
    [
        ({"quant_method": "aqlm"}, "aqlm"),
        ({"quant_method": "hqq"}, "hqq"),
        ({}, "an unnamed method"),
        ({"quant_method": "gptq", "bits": 3}, "GPTQ with 3 bits"),
        ({"quant_method": "gptq", "bits": 4, "checkpoint_format": "marlin"}, "'marlin'"),
        ({"quant_method": "awq", "bits": 4, "version": "gemv"}, "'gemv'"),
        ({"quant_method": "compressed-tensors", "format": "nvfp4-pack-quantized",
          "config_groups": {"group_0": {"weights": WEIGHTS}}}, "nvfp4-pack-quantized"),
        ({"quant_method": "compressed-tensors", "format": "pack-quantized",
          "sparsity_config": {"format": "sparse-24-bitmask"},
          "config_groups": {"group_0": {"weights": WEIGHTS}}}, "sparse-24-bitmask"),
    ],
)  # fmt: skip
def test_detect_names_what_it_cannot_read(quantization: dict[str, Any], name: str) -> None:
    with pytest.raises(UnsupportedModelError, match=name) as caught:
        detect({"quantization_config": quantization})
    assert "GPTQ" in str(caught.value.remedy)
    assert "bitsandbytes" in str(caught.value.remedy)


def test_on_grid_gives_layers_of_one_order_the_same_permutation() -> None:
    random = np.random.default_rng(0)
    groups = random.permutation(np.arange(64) // 16)
    scales, zeros = np.ones((8, 4), np.float16), np.full((8, 4), 8, np.uint8)
    one, two = (
        on_grid(random.integers(0, 16, (8, 64), np.uint8), scales, zeros, groups, bits=4)
        for _ in range(2)
    )
    assert isinstance(one, PackedWeight)
    assert isinstance(two, PackedWeight)
    np.testing.assert_array_equal(one.permutation, two.permutation)
