"""PEFT's folders: what is read of them, and every way in which one may be wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.adapters import PREFIX, tensors_of, write_adapter, write_tensors

from nanoaccel.adapters.folder import is_adapter, read_adapter
from nanoaccel.errors import AdapterError

SHAPES = {"model.layers.0.q_proj": (4, 3), "model.layers.1.q_proj": (4, 3), "lm_head": (5, 3)}
WEIGHTS = "adapter_model.safetensors"


def test_read_adapter_scales_by_alpha_and_rank(tmp_path: Path) -> None:
    folder = write_adapter(tmp_path, 1, shapes=SHAPES, rank=2, lora_alpha=6)
    adapter = read_adapter(folder)
    tensors = tensors_of(1, SHAPES, 2)
    assert list(adapter.modules) == list(SHAPES)
    for module, low in adapter.modules.items():
        assert (low.rank, low.scale, low.magnitude) == (2, 3.0, None)
        np.testing.assert_array_equal(low.a, tensors[f"{PREFIX}{module}.lora_A.weight"])
        np.testing.assert_array_equal(low.b, tensors[f"{PREFIX}{module}.lora_B.weight"])
    assert (adapter.base, adapter.base_name) == (None, None)


def test_read_adapter_scales_rslora_by_the_root(tmp_path: Path) -> None:
    folder = write_adapter(tmp_path, 1, shapes=SHAPES, rank=4, lora_alpha=6, use_rslora=True)
    assert read_adapter(folder).modules["lm_head"].scale == 3.0


def test_read_adapter_follows_patterns_as_peft_matches_them(tmp_path: Path) -> None:
    tensors = tensors_of(1, {"model.layers.0.q_proj": (4, 3), "lm_head": (5, 3)}, 2)
    tensors |= tensors_of(2, {"model.layers.1.q_proj": (4, 3)}, 3)
    folder = write_adapter(
        tmp_path,
        tensors=tensors,
        r=2,
        lora_alpha=2,
        rank_pattern={r"layers\.1\.q_proj": 3, "proj": 9},
        alpha_pattern={"q_proj": 12, "head": 7},
    )
    modules = read_adapter(folder).modules
    assert [modules[name].rank for name in SHAPES] == [2, 3, 2]
    assert [modules[name].scale for name in SHAPES] == [6.0, 4.0, 1.0]


def test_read_adapter_takes_the_lengths_of_dora(tmp_path: Path) -> None:
    lengths = np.arange(5, dtype=np.float32)
    tensors = tensors_of(1, {"lm_head": (5, 3)}, 2)
    folder = write_adapter(
        tmp_path,
        tensors={**tensors, f"{PREFIX}lm_head.lora_magnitude_vector": lengths},
        use_dora=True,
    )
    np.testing.assert_array_equal(read_adapter(folder).modules["lm_head"].magnitude, lengths)


@pytest.mark.parametrize("kind", ["F64", "F16", "BF16"])
def test_read_adapter_widens_other_types(tmp_path: Path, kind: str) -> None:
    folder = write_adapter(tmp_path, shapes=SHAPES, rank=2)
    tensors = {name: np.round(2 * t) / 2 for name, t in tensors_of(0, SHAPES, 2).items()}
    packed = {
        "F64": lambda t: t.astype("<f8").tobytes(),
        "F16": lambda t: t.astype("<f2").tobytes(),
        "BF16": lambda t: (t.view(np.uint32) >> 16).astype("<u2").tobytes(),
    }[kind]
    header, data = {}, b""
    for name, tensor in tensors.items():
        raw = packed(tensor)
        offsets = [len(data), len(data) + len(raw)]
        header[name] = {"dtype": kind, "shape": list(tensor.shape), "data_offsets": offsets}
        data += raw
    text = json.dumps(header).encode() + b" "  # of odd length: nothing is aligned
    (folder / WEIGHTS).write_bytes(len(text).to_bytes(8, "little") + text + data)
    for module, low in read_adapter(folder).modules.items():
        np.testing.assert_array_equal(low.a, tensors[f"{PREFIX}{module}.lora_A.weight"])


def test_fingerprint_names_the_content_alone(tmp_path: Path) -> None:
    first = read_adapter(write_adapter(tmp_path / "a", 1))
    same = read_adapter(write_adapter(tmp_path / "b", 1))
    other = read_adapter(write_adapter(tmp_path / "c", 2))
    scaled = read_adapter(write_adapter(tmp_path / "d", 1, lora_alpha=1))
    assert first.fingerprint == same.fingerprint
    assert len({one.fingerprint for one in (first, other, scaled)}) == 3


def test_read_adapter_says_which_base_it_names(tmp_path: Path) -> None:
    folder = write_adapter(tmp_path, base_model_name_or_path="org/model")
    assert read_adapter(folder).base_name == "org/model"
    assert is_adapter(folder)
    assert not is_adapter(tmp_path / "nowhere")


def _tensors(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], object]:
    def spoil(folder: Path) -> None:
        tensors = tensors_of(0, SHAPES, 2)
        change(tensors)
        write_tensors(folder / WEIGHTS, tensors)

    return spoil


def _config(**values: Any) -> Callable[[Path], object]:
    return lambda folder: write_adapter(folder, shapes=SHAPES, **values)


def _cut(size: int) -> Callable[[Path], object]:
    def spoil(folder: Path) -> None:
        data = (folder / WEIGHTS).read_bytes()
        (folder / WEIGHTS).write_bytes(data[:size])

    return spoil


def _header(**entry: Any) -> Callable[[Path], object]:
    def spoil(folder: Path) -> None:
        usual = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
        text = json.dumps({"x.lora_A.weight": {**usual, **entry}}).encode()
        (folder / WEIGHTS).write_bytes(len(text).to_bytes(8, "little") + text + b"\0" * 4)

    return spoil


_A = f"{PREFIX}lm_head.lora_A.weight"
WRONG: dict[str, tuple[Callable[[Path], object], str]] = {
    "no config": (
        lambda folder: (folder / "adapter_config.json").unlink(),
        "has no adapter_config",
    ),
    "no weights": (lambda folder: (folder / WEIGHTS).unlink(), f"has no {WEIGHTS}"),
    "config is no JSON": (
        lambda folder: (folder / "adapter_config.json").write_text("{"),
        "not a configuration of PEFT",
    ),
    "config is a list": (
        lambda folder: (folder / "adapter_config.json").write_text("[]"),
        "not a configuration of PEFT",
    ),
    "rank is a word": (_config(r="many"), "value of the wrong type"),
    "another kind": (_config(peft_type="IA3"), "kind 'IA3'"),
    "DoRA without lengths": (_config(use_dora=True), "says use_dora=True"),
    "biases": (_config(bias="all"), "biases of its own"),
    "biases of lora_B": (_config(lora_bias=True), "biases of its own"),
    "whole modules": (_config(modules_to_save=["lm_head"]), "modules_to_save"),
    "tokens": (_config(trainable_token_indices=[3]), "embeddings of tokens"),
    "activated": (_config(alora_invocation_tokens=[3]), "aLoRA"),
    "PiSSA": (_config(init_lora_weights="pissa_niter_4"), "changes the base too"),
    "empty": (lambda folder: write_tensors(folder / WEIGHTS, {}), "holds no weights"),
    "empty file": (_cut(0), "truncated"),
    "cut header": (_cut(40), "truncated"),
    "cut tensors": (_cut(-4), "truncated"),
    "not safetensors": (lambda f: (f / WEIGHTS).write_bytes(b"PK\3\4" + b"x" * 99), "truncated"),
    "header is no JSON": (
        lambda f: (f / WEIGHTS).write_bytes(b"\4" + b"\0" * 7 + b"nope"),
        "header is not JSON",
    ),
    "integers": (_header(dtype="I32"), "is of type I32"),
    "a shape that is not the size": (_header(shape=[2]), "not that of its shape"),
    "a negative offset": (_header(data_offsets=[-4, 0]), "not that of its shape"),
    "no offsets": (_header(data_offsets=None), "is not described"),
    "NaN": (_tensors(lambda t: t[_A].fill(np.nan)), "NaN or infinite"),
    "infinite": (_tensors(lambda t: t[_A].fill(np.inf)), "NaN or infinite"),
    "half an update": (_tensors(lambda t: t.pop(_A)), "has no lora_A for lm_head"),
    "another rank": (_config(rank=3, r=4), "declares the rank 4"),
    "rank 0": (_config(rank=0), "declares the rank 0"),
    "a convolution": (
        _tensors(lambda t: t.update({_A: np.zeros((2, 3, 1), np.float32)})),
        "no linear layer",
    ),
    "embeddings": (
        _tensors(lambda t: t.update({"embed.lora_embedding_A": np.zeros(1, np.float32)})),
        "update of embeddings",
    ),
    "magnitudes": (
        _tensors(lambda t: t.update({"lm_head.lora_magnitude_vector": np.ones(5, np.float32)})),
        "says use_dora=False",
    ),
    "a whole matrix": (
        _tensors(lambda t: t.update({"lm_head.weight": np.zeros((1, 1), np.float32)})),
        "no low-rank update",
    ),
    "a note without a base": (
        lambda folder: (folder / "nanoaccel_adapter.json").write_text("{}"),
        "does not name a base",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_read_adapter_names_what_is_wrong(tmp_path: Path, wrong: str) -> None:
    spoil, said = WRONG[wrong]
    write_adapter(tmp_path, shapes=SHAPES)
    spoil(tmp_path)
    with pytest.raises(AdapterError, match=said) as raised:
        read_adapter(tmp_path)
    assert raised.value.remedy
    assert str(tmp_path) in str(raised.value)
