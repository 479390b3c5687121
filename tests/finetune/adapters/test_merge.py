"""Merged weights say what the adapter said, and an adapter of another base is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nanoaccel.testing.tiny_models import write_model

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

from nanoaccel.adapters.folder import BaseNote  # noqa: E402
from nanoaccel.adapters.peft_config import CONFIG, NOTE  # noqa: E402
from nanoaccel.errors import AdapterError, ConfigError, ExportError  # noqa: E402
from nanoaccel.finetune.adapters.deltas import MergeOptions, combine  # noqa: E402
from nanoaccel.finetune.adapters.files import write_adapter  # noqa: E402
from nanoaccel.finetune.merge import merge  # noqa: E402

pytestmark = pytest.mark.export

IDS = torch.arange(3, 40)[None]


def load(folder: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder)


def logits(model: Any) -> Any:
    with torch.no_grad():
        return model(IDS).logits


def write_random(folder: Path, base: Path, seed: int = 0, **more: Any) -> Path:
    """An adapter with random weights."""
    from peft import LoraConfig, inject_adapter_in_model

    from nanoaccel.exporters.source.fingerprint import fingerprint

    folder.mkdir()
    model = load(base)
    note = BaseNote(id=str(base), revision=None, fingerprint=fingerprint(model))
    config = LoraConfig(**{"target_modules": "all-linear", "r": 4, "lora_alpha": 6, **more})
    inject_adapter_in_model(config, model)
    torch.manual_seed(seed)
    values = {
        name: weight.detach() + 0.1 * torch.randn_like(weight)
        for name, weight in model.named_parameters()
        if "lora_" in name
    }
    write_adapter(folder, model, config, values, note)
    return folder


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "gpt2", "gpt2")


@pytest.mark.parametrize("more", [{}, {"use_rslora": True}, {"use_dora": True}])
@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_merged_logits_are_pefts(
    kind: str, more: dict[str, Any], tiny_model: Path, gpt2: Path, tmp_path: Path
) -> None:
    from peft import PeftModel

    base = tiny_model if kind == "llama" else gpt2
    if kind == "gpt2":
        more = {**more, "fan_in_fan_out": True}
    adapter = write_random(tmp_path / "adapter", base, **more)
    wanted = logits(PeftModel.from_pretrained(load(base), str(adapter)).eval())
    made = merge(str(base), [adapter], tmp_path / "merged")
    found = logits(load(made.folder))
    assert made.notes == ()
    assert (wanted - logits(load(base))).abs().max() > 0.1
    assert (found - wanted).abs().max() < 1e-3


def test_several_adapters_are_added_by_weight(tiny_model: Path, tmp_path: Path) -> None:
    first = write_random(tmp_path / "first", tiny_model)
    second = write_random(tmp_path / "second", tiny_model, 1, r=2, target_modules=["q_proj"])
    options = MergeOptions(weights=(0.5, 2.0))
    merge(str(tiny_model), [first, second], tmp_path / "both", options)
    merge(str(tiny_model), [first], tmp_path / "one", MergeOptions(weights=(0.5,)))
    merge(str(tiny_model), [second], tmp_path / "other", MergeOptions(weights=(2.0,)))
    base, both, one, other = (
        load(folder).state_dict()
        for folder in (tiny_model, tmp_path / "both", tmp_path / "one", tmp_path / "other")
    )
    for name, weight in base.items():
        wanted = one[name] + other[name] - weight
        assert torch.allclose(both[name], wanted, atol=1e-5), name


@pytest.mark.parametrize("how", ["ties", "dare_linear", "dare_ties"])
def test_ties_and_dare_keep_a_share(how: Any, tiny_model: Path, tmp_path: Path) -> None:
    adapters = [write_random(tmp_path / str(seed), tiny_model, seed) for seed in (0, 1)]
    options = MergeOptions(weights=(1.0, 1.0), how=how, density=0.2)
    made = [
        load(merge(str(tiny_model), adapters, tmp_path / name, options).folder).state_dict()
        for name in ("merged", "again")
    ]
    name = "model.layers.0.mlp.up_proj.weight"
    changed = made[0][name] != load(tiny_model).state_dict()[name]
    assert 0.05 < changed.float().mean() < 0.45
    assert torch.equal(made[0][name], made[1][name])


def test_combine_adds_up() -> None:
    parts = [torch.tensor([[1.0, -2.0]]), torch.tensor([[10.0, 20.0]])]
    found = combine(parts, (2.0, 0.5), MergeOptions(weights=(2.0, 0.5)))
    assert found.tolist() == [[7.0, 6.0]]


def test_an_adapter_of_another_base_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    other = write_model(tmp_path / "other", seed=1)
    adapter = write_random(tmp_path / "adapter", other)
    with pytest.raises(AdapterError, match="was trained on another base"):
        merge(str(tiny_model), [adapter], tmp_path / "out")
    (adapter / NOTE).unlink()
    made = merge(str(tiny_model), [adapter], tmp_path / "out")
    assert made.notes == (f"{adapter} does not say which base it belongs to",)


def test_an_adapter_that_does_not_fit_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    wider = write_model(tmp_path / "wider", intermediate_size=128)
    adapter = write_random(tmp_path / "adapter", wider)
    (adapter / NOTE).unlink()
    with pytest.raises(AdapterError, match=r"changes model\.layers\.0\.mlp\.down_proj as a matrix"):
        merge(str(tiny_model), [adapter], tmp_path / "out")
    deeper = write_model(tmp_path / "deeper", num_hidden_layers=4)
    adapter = write_random(tmp_path / "deep", deeper)
    (adapter / NOTE).unlink()
    with pytest.raises(AdapterError, match=r"layers\.3\.mlp\.down_proj, which the model has not"):
        merge(str(tiny_model), [adapter], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_wrong_options_are_refused(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there are 2 weights for 1 adapters"):
        merge(str(tiny_model), [tmp_path], tmp_path / "out", MergeOptions(weights=(1.0, 2.0)))
    with pytest.raises(ConfigError, match="how='glue' is unknown"):
        MergeOptions(how="glue")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="density=0 is out of range"):
        MergeOptions(density=0)
    (tmp_path / "file").touch()
    with pytest.raises(ExportError):
        merge(str(tiny_model), [tmp_path], tmp_path, overwrite=True)


def test_a_merged_model_names_its_parts(tiny_model: Path, tmp_path: Path) -> None:
    adapter = write_random(tmp_path / "adapter", tiny_model)
    assert json.loads((adapter / CONFIG).read_text())["base_model_name_or_path"] == str(tiny_model)
    made = merge(str(tiny_model), [adapter], tmp_path / "out")
    note = json.loads((made.folder / "nanoaccel_merged.json").read_text())
    assert note["adapters"] == [str(adapter)]
    assert merge(str(tiny_model), [adapter], tmp_path / "out", overwrite=True).matrices == 21
