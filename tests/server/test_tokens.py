"""Tokens of a text, told as several servers do."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.grammar_llms import JsonBackend, write_bundle
from support.servers import serving

from nanoaccel import registry


def test_pieces_are_told_as_llama_cpp_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry.BACKENDS, "resolve", lambda _: JsonBackend)
    with serving(write_bundle(tmp_path / "bundle")) as served:
        ids = served.post("/tokenize", {"content": "na\u20ac"}).json["tokens"]
        told = served.post("/tokenize", {"content": "na\u20ac", "with_pieces": True}).json
    pieces = ["na", [0xE2], [0x82], [0xAC]]  # a part of a character is a list of bytes
    assert told["tokens"] == [
        {"id": token, "piece": piece} for token, piece in zip(ids, pieces, strict=True)
    ]
