"""Reading the fields of GGUF files, whole, damaged and foreign."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nanoaccel.errors import GGUFError

gguf = pytest.importorskip("gguf")

from nanoaccel.exporters.source.gguf import GGUFMetadata, read_metadata  # noqa: E402


def write_gguf(path: Path, *, tensors: bool = True) -> Path:
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_uint32("llama.block_count", 3)
    writer.add_float32("llama.epsilon", 0.5)
    writer.add_bool("tokenizer.ggml.add_bos_token", False)
    writer.add_array("tokenizer.ggml.token_type", [1, 2, 3])
    writer.add_array("tokenizer.ggml.scores", [0.5, -1.0])
    writer.add_array("tokenizer.ggml.tokens", ["a", "\u00e9", ""])
    writer.add_string("general.name", "n\u00e4me")
    if tensors:
        writer.add_tensor("first", np.zeros((4, 32), np.float32))
        writer.add_tensor("last", np.zeros(32, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    if tensors:
        writer.write_tensors_to_file()
    writer.close()
    return path


def test_read_metadata_gives_plain_values(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "tiny.gguf")
    metadata = read_metadata(path)
    assert metadata.path == path
    assert metadata.architecture == "llama"
    assert metadata.fields == {
        "general.architecture": "llama",
        "general.name": "n\u00e4me",
        "llama.block_count": 3,
        "llama.epsilon": 0.5,
        "tokenizer.ggml.add_bos_token": False,
        "tokenizer.ggml.token_type": (1, 2, 3),
        "tokenizer.ggml.scores": (0.5, -1.0),
        "tokenizer.ggml.tokens": ("a", "\u00e9", ""),
    }
    assert type(metadata.fields["llama.block_count"]) is int
    assert type(metadata.fields["tokenizer.ggml.add_bos_token"]) is bool


@pytest.mark.parametrize("tensors", [True, False])
def test_read_metadata_refuses_every_shorter_file(tmp_path: Path, tensors: bool) -> None:
    content = write_gguf(tmp_path / "whole.gguf", tensors=tensors).read_bytes()
    path = tmp_path / "cut.gguf"
    # What follows the last string or the last tensor may be padding, which nothing needs.
    needed = len(content) if tensors else len(content.rstrip(b"\0"))
    for size in [*range(1, min(needed, 900)), needed - 65, needed - 1]:
        path.write_bytes(content[:size])
        with pytest.raises(GGUFError, match=r"cut\.gguf is truncated"):
            read_metadata(path)


def test_read_metadata_refuses_an_array_cut_at_an_element(tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "tiny.gguf", "llama")
    writer.add_array("numbers", [1, 2, 3])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    content = (tmp_path / "tiny.gguf").read_bytes()
    (tmp_path / "tiny.gguf").write_bytes(content[: content.rindex(struct.pack("<i", 2))])
    with pytest.raises(GGUFError, match="is truncated or damaged"):
        read_metadata(tmp_path / "tiny.gguf")


def test_read_metadata_names_size_and_remedy_of_a_truncated_file(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "tiny.gguf")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(GGUFError) as caught:
        read_metadata(path)
    assert str(caught.value).startswith(f"{path} is truncated or damaged: ")
    assert f"{path.stat().st_size:,} bytes" in str(caught.value)
    assert "Download or convert it again" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is not a GGUF file"),
        (b"PK\3\4 a zip file", "is not a GGUF file: it starts with b'PK"),
        (b"GGUF" + struct.pack("<IQQ", 1, 0, 0), "is GGUF version 1; known are 2 and 3"),
        (b"GGUF" + struct.pack("<IQQ", 9, 0, 0), "is GGUF version 9; known are 2 and 3"),
        (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "is GGUF version 50331648; known are 2 and 3"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 0), "does not name its architecture"),
        (b"GGUF" + struct.pack("<IQQIII", 3, 0, 1, 0, 0, 99), "is truncated or damaged"),
    ],
)
def test_read_metadata_refuses_foreign_files(tmp_path: Path, content: bytes, problem: str) -> None:
    path = tmp_path / "odd.gguf"
    path.write_bytes(content)
    with pytest.raises(GGUFError) as caught:
        read_metadata(path)
    assert f"{path} {problem}" in str(caught.value)
    assert caught.value.remedy is not None


def test_read_metadata_refuses_what_it_cannot_open(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.gguf", tmp_path):
        with pytest.raises(GGUFError, match="cannot be read"):
            read_metadata(path)


FIELDS = {"text": "x", "flag": True, "count": 2, "ratio": 1.5, "list": (1, 2), "empty": ()}
METADATA = GGUFMetadata(Path("tiny.gguf"), "llama", FIELDS)


def test_find_and_require_give_typed_values() -> None:
    assert METADATA.find("text", str) == "x"
    assert METADATA.find("flag", bool) is True
    assert METADATA.require("count", int) == 2
    assert METADATA.require("ratio", float) == 1.5
    whole = METADATA.require("count", float)
    assert (whole, type(whole)) == (2.0, float)
    assert METADATA.find_array("list", int) == (1, 2)
    assert METADATA.require_array("list", float) == (1.0, 2.0)
    assert METADATA.require_array("empty", str) == ()


def test_find_gives_none_for_an_absent_key() -> None:
    assert METADATA.find("absent", str) is None
    assert METADATA.find_array("absent", int) is None


def test_require_refuses_an_absent_key() -> None:
    for require in (METADATA.require, METADATA.require_array):
        with pytest.raises(GGUFError, match=r"tiny\.gguf has no 'absent'"):
            require("absent", str)


@pytest.mark.parametrize(
    ("key", "kind"),
    [("text", int), ("count", str), ("count", bool), ("flag", int), ("flag", float), ("list", int)],
)
def test_find_refuses_a_value_of_another_type(key: str, kind: Any) -> None:
    with pytest.raises(GGUFError, match=rf"'{key}' of tiny\.gguf is a "):
        METADATA.find(key, kind)


@pytest.mark.parametrize(("key", "kind"), [("text", str), ("list", str)])
def test_find_array_refuses_other_values(key: str, kind: Any) -> None:
    with pytest.raises(GGUFError, match=rf"'{key}' of tiny\.gguf is a "):
        METADATA.find_array(key, kind)
