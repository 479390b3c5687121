"""Names of originals differ wherever their answers may."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nanoaccel.exporters.source import original_key
from nanoaccel.exporters.source.original_key import content_key, graph_key


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    (folder / "additional_chat_templates").mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"rope_scaling": None}))
    (folder / "tokenizer.json").write_text("{}")
    (folder / "tokenizer_config.json").write_text("{}")
    (folder / "generation_config.json").write_text("{}")
    (folder / "tokenizer.model").write_bytes(b"sentences")
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    (folder / "additional_chat_templates" / "tool_use.jinja").write_text("{{ tools }}")
    (folder / "model-00001-of-00002.safetensors").write_bytes(bytes(100_000))
    (folder / "model-00002-of-00002.safetensors").write_bytes(bytes(100_000))
    return folder


def _key(folder: Path, gguf: Path | None = None) -> str:
    about: Any = SimpleNamespace(
        folder=folder, gguf=None if gguf is None else SimpleNamespace(path=gguf)
    )
    return content_key(about)


def _flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def test_content_key_is_the_same_again_and_elsewhere(model: Path, tmp_path: Path) -> None:
    key = _key(model)
    (model / "README.md").write_text("about")
    assert _key(model) == key
    assert _key(model.rename(tmp_path / "moved")) == key


@pytest.mark.parametrize(
    "change",
    [
        lambda f: (f / "config.json").write_text('{"rope_scaling": {"factor": 2.0}}'),
        lambda f: _flip(f / "model-00002-of-00002.safetensors", 99_999),
        lambda f: _flip(f / "model-00001-of-00002.safetensors", 50_000),
        lambda f: (f / "model-00002-of-00002.safetensors").unlink(),
        lambda f: (f / "tokenizer.json").write_text('{"added_tokens": []}'),
        lambda f: (f / "tokenizer_config.json").write_text('{"add_bos_token": true}'),
        lambda f: (f / "generation_config.json").write_text('{"eos_token_id": 3}'),
        lambda f: (f / "special_tokens_map.json").write_text("{}"),
        lambda f: _flip(f / "tokenizer.model", 3),
        lambda f: (f / "chat_template.jinja").write_text("{{ message }}"),
        lambda f: (f / "additional_chat_templates" / "tool_use.jinja").write_text(""),
        lambda f: (f / "quantize_config.json").write_text("{}"),
        lambda f: (f / "pytorch_model.bin").write_bytes(b"x"),
    ],
)
def test_content_key_changes_with_each_part(change: Callable[[Path], object], model: Path) -> None:
    key = _key(model)
    change(model)
    assert _key(model) != key


def test_content_key_of_gguf_files_covers_all_parts(tmp_path: Path) -> None:
    parts = [tmp_path / f"m-0000{number}-of-00002.gguf" for number in (1, 2)]
    other = tmp_path / "other.gguf"
    for file in (*parts, other):
        file.write_bytes(file.name.encode())
    split, alone = _key(tmp_path, parts[0]), _key(tmp_path, other)
    _flip(parts[1], 3)
    assert _key(tmp_path, parts[0]) != split
    assert _key(tmp_path, other) == alone
    _flip(other, 3)
    assert _key(tmp_path, other) != alone


@pytest.mark.parametrize(
    ("package", "of_model"), [("torch", True), ("transformers", True), ("nncf", False)]
)
def test_keys_change_with_the_versions_that_count(
    package: str, of_model: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = original_key.original_key("a"), graph_key("a")
    real = original_key.versions_of
    monkeypatch.setattr(
        original_key,
        "versions_of",
        lambda names: {**real(names), **({package: "0.0"} if package in names else {})},
    )
    assert (original_key.original_key("a") != before[0]) is of_model
    assert graph_key("a") != before[1]
    assert before[0] != before[1]


def test_keys_change_with_the_format() -> None:
    before = original_key.original_key("a")
    assert original_key.original_key("a") == before
    assert original_key.original_key("a", version=0) != before
