"""The files of a model's weights are whole, or the model is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.quantized_checkpoints import split_in_shards
from support.untied_model import loaded, logits

from nanoaccel.errors import SourceError

pytestmark = pytest.mark.export

NORM = "model.norm.weight"


def cut(path: Path, size: int = 1000) -> None:
    path.write_bytes(path.read_bytes()[:-size])


def lengthen(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"more")


def as_pickle(folder: Path) -> Path:
    import torch
    from safetensors.torch import load_file

    stored = folder / "model.safetensors"
    torch.save(load_file(stored), folder / "pytorch_model.bin")
    stored.unlink()
    return folder / "pytorch_model.bin"


def shards(folder: Path) -> Path:
    split_in_shards(folder)
    return folder / "model-00001-of-00002.safetensors"


def change_index(folder: Path, change: Callable[[dict[str, str]], Any]) -> None:
    shards(folder)
    path = folder / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    change(index["weight_map"])
    path.write_text(json.dumps(index))


def malicious(folder: Path) -> None:
    as_pickle(folder).write_bytes(b"cos\nsystem\n(S'touch EXECUTED'\ntR.")


FILES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "cut short": (lambda f: cut(f / "model.safetensors"), r"model\.safetensors cannot be read: it"),
    "only its start": (
        lambda f: (f / "model.safetensors").write_bytes(b"\x99\x99" + bytes(30)),
        "cut short within its header",
    ),
    "too long": (
        lambda f: lengthen(f / "model.safetensors"),
        "bytes, and .* by its header",
    ),
    "empty": (lambda f: (f / "model.safetensors").write_bytes(b""), "it has 0 bytes"),
    "git lfs": (
        lambda f: (f / "model.safetensors").write_text("version https://git-lfs.github.com/spec"),
        "pointer of Git LFS .* git lfs pull",
    ),
    "shard missing": (lambda f: shards(f).unlink(), "names .*model-00001-of-00002.*does not exist"),
    "shard cut short": (lambda f: cut(shards(f)), r"model-00001-of-00002\.safetensors cannot be"),
    "index missing": (
        lambda f: (shards(f).parent / "model.safetensors.index.json").unlink(),
        "but neither model.safetensors nor model.safetensors.index.json",
    ),
    "index without a tensor's place": (
        lambda f: change_index(f, lambda m: m.update({"model.more.weight": m[NORM]})),
        r"has no model\.more\.weight",
    ),
    "index to another folder": (
        lambda f: change_index(f, lambda m: m.update({NORM: "../model.safetensors"})),
        "in another folder",
    ),
    "index of nothing": (lambda f: change_index(f, dict.clear), "names no weights"),
    "a file and shards": (
        lambda f: shutil.copyfile(shards(f), f / "model.safetensors"),
        "holds its weights twice",
    ),
    "half of a download": (
        lambda f: (f / "model.safetensors").rename(f / "model.safetensors.incomplete"),
        "half of a download",
    ),
    "pickle cut short": (lambda f: cut(as_pickle(f)), "transformers cannot read"),
    "pickle with code": (malicious, "transformers cannot read"),
}


@pytest.mark.parametrize("name", FILES)
def test_load_refuses_files_that_are_not_whole(
    folder: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    damage, message = FILES[name]
    damage(folder)
    with pytest.raises(SourceError, match=message) as caught:
        loaded(folder)
    assert "\n" not in str(caught.value)
    assert not (folder / "EXECUTED").exists()


def test_load_reads_pickles_and_shards(folder: Path) -> None:
    import torch

    expected = logits(loaded(folder))
    shards(folder)
    assert torch.equal(logits(loaded(folder)), expected)


def test_load_reads_a_whole_pickle(folder: Path) -> None:
    import torch

    expected = logits(loaded(folder))
    as_pickle(folder)
    assert torch.equal(logits(loaded(folder)), expected)
