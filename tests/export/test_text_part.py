"""Text decoders inside checkpoints that see or hear too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from support.tiny_configs import Family, write_model

from nanoaccel.errors import SourceError, UnsupportedModelError
from nanoaccel.exporters.source.model_source import (
    describe_part,
    load_config,
    load_model,
    resolve,
)
from nanoaccel.exporters.source.text_part import decoder_key
from nanoaccel.testing.tiny_models import write_tokenizer

pytestmark = pytest.mark.export


def _checkpoint(folder: Path, kind: str = "gemma3") -> Path:
    folder.mkdir()
    write_model(Family(kind), folder)
    write_tokenizer(folder)
    return folder


def _edit(folder: Path, **changed: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changed}))


@pytest.mark.parametrize(
    "stored",
    [
        "model.language_model.layers.0.mlp.up_proj.weight",
        "language_model.model.layers.0.mlp.up_proj.weight",
        "model.text_model.layers.0.mlp.up_proj.weight",
        "model.layers.0.mlp.up_proj.weight",
    ],
)
def test_decoder_key_names_the_weight_of_a_decoder_alone(stored: str) -> None:
    assert decoder_key(stored) == "model.layers.0.mlp.up_proj.weight"


@pytest.mark.parametrize("kind", ["gemma3", "mistral3", "qwen3_vl"])
def test_text_part_says_what_its_decoder_says(kind: str, tmp_path: Path) -> None:
    import torch
    from support.tiny_configs import make_model

    source = resolve(str(_checkpoint(tmp_path / "model", kind)))
    ids = torch.tensor([[5, 3, 8, 2, 9, 4]])
    with torch.inference_mode():
        found = load_model(source, "f32")(ids).logits
        expected = make_model(Family(kind))(ids).logits
    assert torch.equal(found, expected)


def test_part_is_told(tmp_path: Path) -> None:
    source = resolve(str(_checkpoint(tmp_path / "model")))
    config = load_config(source)
    assert config.model_type == "gemma3_text"
    assert "'gemma3' checkpoint" in describe_part(source, config)


def test_whole_model_has_no_part_to_tell(tmp_path: Path) -> None:
    source = resolve(str(_checkpoint(tmp_path / "model", "gemma3_text")))
    assert describe_part(source, load_config(source)) == ""


def test_part_with_a_weight_too_much_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = _checkpoint(tmp_path / "model")
    path = folder / "model.safetensors"
    weights = load_file(path)
    extra = {"model.language_model.layers.7.mlp.up_proj.weight": next(iter(weights.values()))}
    save_file({**weights, **{name: w.clone() for name, w in extra.items()}}, path, {"format": "pt"})
    with pytest.raises(SourceError, match=r"layers\.7"):
        load_model(resolve(str(folder)), "f32")


def test_head_that_is_stored_is_used_whatever_the_parts_say(tmp_path: Path) -> None:
    """Wholes and their parts often disagree about tied embeddings; the files decide."""
    from safetensors.torch import load_file

    folder = _checkpoint(tmp_path / "model", "mistral3")
    _edit(folder, tie_word_embeddings=True)
    model = load_model(resolve(str(folder)), "f32")
    stored = load_file(folder / "model.safetensors")["lm_head.weight"]
    assert (model.get_output_embeddings().weight == stored).all()


def test_architecture_of_no_language_model_is_refused(tmp_path: Path) -> None:
    folder = _checkpoint(tmp_path / "model")
    _edit(folder, architectures=["Gemma3ForSequenceClassification"])
    with pytest.raises(UnsupportedModelError, match="Gemma3ForSequenceClassification"):
        resolve(str(folder))
