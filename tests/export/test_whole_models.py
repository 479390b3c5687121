"""Every tensor of a model is accounted for, or the model is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.quantized_checkpoints import edit_tensors
from support.untied_model import SMALL, loaded, logits

from nanoaccel import LLM
from nanoaccel.errors import BundleDamagedError, NanoAccelError, SourceError, UnsupportedModelError
from nanoaccel.exporters.quiet import quiet
from nanoaccel.exporters.source.model_source import load_config, resolve
from nanoaccel.testing import tiny_models

pytestmark = pytest.mark.export

Tensors = dict[str, Any]


def change_config(folder: Path, **more: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **more}))


def renamed(change: Callable[[str], str]) -> Callable[[Tensors], None]:
    def edit(tensors: Tensors) -> None:
        for name in list(tensors):
            tensors[change(name)] = tensors.pop(name)

    return edit


def added(**more: str) -> Callable[[Tensors], None]:
    """Copies of tensors, under other names."""
    names = {name.replace("__", "."): of for name, of in more.items()}
    return lambda tensors: tensors.update({n: tensors[of].clone() for n, of in names.items()})


HEAD, EMBEDDING, NORM = "lm_head.weight", "model.embed_tokens.weight", "model.norm.weight"
EDITS: dict[str, tuple[Callable[[Tensors], Any], str]] = {
    "no head": (lambda t: t.pop(HEAD), "lacks weights .*: lm_head.weight"),
    "no embedding": (lambda t: t.pop(EMBEDDING), "lacks weights .*embed_tokens"),
    "torch.compile": (renamed(lambda n: "_orig_mod." + n), "named with a prefix, '_orig_mod.'"),
    "DDP": (renamed(lambda n: "module." + n), "named with a prefix, 'module.'"),
    "layer missing": (
        lambda t: [t.pop(n) for n in list(t) if ".layers.1." in n],
        r"lacks weights .*layers\.1.* and \d more",
    ),
    "layer too many": (
        lambda t: t.update(
            {n.replace(".1.", ".2."): t[n].clone() for n in list(t) if ".layers.1." in n}
        ),
        r"has weights that no LlamaForCausalLM .*model\.layers\.2\.",
    ),
    "reward head": (added(score__weight=NORM), r"has weights that no .*: score\.weight"),
    "unmerged adapter": (
        added(model__layers__0__self_attn__q_proj__lora_A__weight=NORM),
        "lora_A",
    ),
    "another type": (
        lambda t: t.update({NORM: t[NORM].char()}),
        r"stores model\.norm\.weight as I8",
    ),
    "under two names": (added(norm__weight=NORM), "under two names: norm.weight"),
    "another shape": (
        lambda t: t.update({NORM: t[NORM][:9].clone()}),
        r"model\.norm\.weight is \[9\]",
    ),
    "transposed": (
        lambda t: t.update({HEAD: t[HEAD].T.contiguous()}),
        r"lm_head\.weight is \[32, 384\]",
    ),
}


@pytest.mark.parametrize("name", EDITS)
def test_load_refuses_tensors_that_do_not_add_up(folder: Path, name: str) -> None:
    edit, message = EDITS[name]
    edit_tensors(folder, edit)
    with pytest.raises(SourceError, match=message) as caught:
        loaded(folder)
    assert "\n" not in str(caught.value)
    with pytest.raises(BundleDamagedError, match=message):  # the torch backend looks the same way
        LLM(folder, backend="torch")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_hidden_layers", 1),
        ("num_hidden_layers", 3),
        ("hidden_size", 48),
        ("hidden_size", 33),
        ("intermediate_size", 49),
        ("vocab_size", 400),
        ("num_attention_heads", 0),
        ("num_attention_heads", 5),
        ("num_key_value_heads", 4),
        ("num_hidden_layers", "two"),
        ("tie_word_embeddings", True),
    ],
)
def test_load_refuses_a_config_of_another_model(folder: Path, name: str, value: object) -> None:
    change_config(folder, **{name: value})
    with pytest.raises(NanoAccelError):
        loaded(folder)


def test_load_is_exact_where_a_number_leaves_all_shapes(folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    before = logits(loaded(folder))
    change_config(folder, rope_parameters={"rope_type": "default", "rope_theta": 77.0})
    change_config(folder, rms_norm_eps=0.1)
    found = logits(loaded(folder))
    with quiet():
        expected = logits(AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32))
    assert torch.equal(found, expected)
    assert not torch.allclose(found, before)


def test_load_names_a_tied_head_with_numbers_of_its_own(folder: Path) -> None:
    change_config(folder, tie_word_embeddings=True)
    with pytest.raises(SourceError, match=r"a head with other numbers.*tie_word_embeddings"):
        loaded(folder)


def test_load_ties_a_head_that_is_stored_twice(folder: Path, tmp_path: Path) -> None:
    change_config(folder, tie_word_embeddings=True)
    edit_tensors(folder, lambda t: t.update({HEAD: t[EMBEDDING].clone()}))
    model = loaded(folder)
    assert model.lm_head.weight is model.model.embed_tokens.weight
    model.save_pretrained(tmp_path / "again")
    assert loaded(tmp_path / "again").lm_head.weight.equal(model.lm_head.weight)


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_load_takes_buffers_that_older_versions_stored(kind: str, tmp_path: Path) -> None:
    import torch

    folder = tiny_models.write_model(tmp_path / "model", kind)
    expected = logits(loaded(folder))
    stored = {
        "gpt2": {
            "transformer.h.0.attn.bias": torch.ones(1, 1, 8, 8).tril().byte(),
            "transformer.h.0.attn.masked_bias": torch.tensor(-1e4),
        },
        "llama": {"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(8)},
    }
    edit_tensors(folder, lambda t: t.update(stored[kind]))
    assert torch.equal(logits(loaded(folder)), expected)


def test_load_takes_names_without_the_base_models_prefix(tmp_path: Path) -> None:
    import torch

    folder = tiny_models.write_model(tmp_path / "model", "gpt2")
    expected = logits(loaded(folder))
    edit_tensors(folder, renamed(lambda n: n.removeprefix("transformer.")))
    assert torch.equal(logits(loaded(folder)), expected)


@pytest.mark.parametrize(
    "name", ["LlamaForSequenceClassification", "LlamaForCausalLMEagle3", "RewardModel"]
)
def test_resolve_refuses_another_head_by_name(folder: Path, name: str) -> None:
    change_config(folder, architectures=[name])
    with pytest.raises(UnsupportedModelError, match=f"weights are a {name} "):
        resolve(str(folder))
    with pytest.raises(UnsupportedModelError, match=name):
        LLM(folder, backend="torch")


def test_resolve_calls_an_adapter_an_adapter(folder: Path, tmp_path: Path) -> None:
    described = {"peft_type": "LORA", "base_model_name_or_path": "org/base"}
    alone = tmp_path / "alone"
    alone.mkdir()
    for place in (alone, folder):
        (place / "adapter_config.json").write_text(json.dumps(described))
    (alone / "adapter_model.safetensors").write_bytes(b"")
    with pytest.raises(SourceError, match=r"\(LORA\) for org/base\..*nanoaccel merge org/base"):
        resolve(str(alone))
    with pytest.raises(SourceError, match="beside weights that it is not part of"):
        resolve(str(folder))
    with pytest.raises(BundleDamagedError, match="is an adapter"):
        LLM(folder, backend="torch")


@pytest.mark.parametrize("text", ["{", "[]", '{"hidden_size": 4}'])
def test_resolve_refuses_a_config_that_names_no_model(folder: Path, text: str) -> None:
    (folder / "config.json").write_text(text)
    with pytest.raises(
        SourceError, match=r"config\.json (is no JSON|holds no|names no model_type)"
    ):
        resolve(str(folder))


def test_resolve_refuses_weights_that_the_config_names_itself(folder: Path) -> None:
    change_config(folder, transformers_weights="other.safetensors")
    with pytest.raises(UnsupportedModelError, match="transformers_weights"):
        resolve(str(folder))


def test_load_leaves_out_layers_that_only_guess_and_no_others(tmp_path: Path) -> None:
    """DeepSeek's classes ignore a layer 61; where the model ends, the config says."""
    folder = tiny_models.write_model(tmp_path / "model", **SMALL)
    from transformers import LlamaForCausalLM

    edit_tensors(
        folder,
        lambda t: t.update(
            {n.replace(".1.", ".2."): t[n].clone() for n in list(t) if ".layers.1." in n}
        ),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LlamaForCausalLM, "_keys_to_ignore_on_load_unexpected", [r"model\.layers\.2"])
        with pytest.raises(SourceError, match=r"layers beyond the 2 of its config\.json"):
            loaded(folder)
        change_config(folder, num_nextn_predict_layers=1)
        loaded(folder)


def test_load_config_keeps_no_names_of_code(folder: Path) -> None:
    change_config(folder, auto_map={"AutoModelForCausalLM": "modeling_llama.LlamaForCausalLM"})
    source = resolve(str(folder))
    assert not hasattr(load_config(source), "auto_map")
    assert not hasattr(loaded(folder).config, "auto_map")


@pytest.mark.parametrize("change", [{"rms_norm_eps": []}, {"layer_types": ["full_attention"]}])
def test_load_refuses_a_config_with_which_the_model_cannot_run(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    folder = tiny_models.write_model(tmp_path / "model", "qwen3", head_dim=8, **SMALL)
    change_config(folder, **change)
    with pytest.raises(SourceError, match=r"cannot (run as its config\.json describes it|read)"):
        loaded(folder)


@pytest.mark.parametrize("name", ["tokenizer_config.json", "generation_config.json"])
def test_resolve_refuses_small_files_that_are_broken(folder: Path, name: str) -> None:
    (folder / name).write_text("{")
    with pytest.raises(SourceError, match=f"{name} is no JSON"):
        resolve(str(folder))
