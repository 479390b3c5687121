"""Adapters that are broken, or not what they declare, are refused by name."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import save_file  # noqa: E402

from nanoaccel.errors import SourceError  # noqa: E402
from nanoaccel.finetune.adapters.files import BASE, CONFIG, WEIGHTS, read_adapter  # noqa: E402

pytestmark = pytest.mark.export

PATH = "model.layers.0.self_attn.q_proj"


def write(folder: Path, tensors: dict[str, Any] | None = None, **more: Any) -> Path:
    """A small adapter in PEFT's format."""
    folder.mkdir(exist_ok=True)
    config = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, **more}
    (folder / CONFIG).write_text(json.dumps(config))
    if tensors is None:
        tensors = {"lora_A.weight": torch.ones(4, 64), "lora_B.weight": torch.ones(64, 4)}
    named = {f"base_model.model.{PATH}.{name}": tensor for name, tensor in tensors.items()}
    save_file(named, folder / WEIGHTS)
    return folder


@pytest.mark.parametrize(
    ("more", "scale"),
    [
        ({}, 2.0),
        ({"use_rslora": True}, 8 / math.sqrt(4)),
        ({"alpha_pattern": {"q_proj": 1}}, 0.25),
        ({"r": 9, "rank_pattern": {"self_attn.q_proj": 4}}, 2.0),
    ],
)
def test_the_scale_is_pefts(tmp_path: Path, more: dict[str, Any], scale: float) -> None:
    adapter = read_adapter(write(tmp_path, **more))
    assert adapter.base is None
    assert [*adapter.modules] == [PATH]
    assert adapter.modules[PATH].scale == scale


@pytest.mark.parametrize(
    ("tensors", "more", "what"),
    [
        (None, {"peft_type": "IA3"}, "is an adapter of the kind 'IA3'"),
        (None, {"r": 8}, "declares the rank 8 for .*q_proj; its weights have 4 and 4"),
        (None, {"use_dora": True}, "says use_dora=True"),
        ({"lora_A.weight": torch.ones(4, 64)}, {}, "has half an adapter for"),
        ({}, {}, "holds no weights"),
        (
            {"lora_A.weight": torch.full((4, 64), torch.nan), "lora_B.weight": torch.ones(64, 4)},
            {},
            "lora_A.weight in .* holds NaN",
        ),
        ({"modules_to_save.weight": torch.ones(3)}, {}, "part of no linear layer's adapter"),
    ],
)
def test_what_is_wrong_is_named(
    tmp_path: Path, tensors: dict[str, Any] | None, more: dict[str, Any], what: str
) -> None:
    with pytest.raises(SourceError, match=what):
        read_adapter(write(tmp_path, tensors, **more))


def test_missing_and_damaged_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=f"has no {CONFIG}"):
        read_adapter(tmp_path)
    folder = write(tmp_path / "adapter")
    (folder / BASE).write_text("{}")
    with pytest.raises(SourceError, match="does not name a base"):
        read_adapter(folder)
    (folder / WEIGHTS).write_bytes(b"12345678")
    with pytest.raises(SourceError, match="cannot be read"):
        read_adapter(folder)
    (folder / WEIGHTS).unlink()
    with pytest.raises(SourceError, match=f"has no {WEIGHTS}"):
        read_adapter(folder)
    (folder / CONFIG).write_text("[1]")
    with pytest.raises(SourceError, match="holds no JSON object"):
        read_adapter(folder)
