"""GGUF files that are written say what the model is: read back, they are it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanoaccel.errors import UnsupportedModelError
from nanoaccel.exporters.convert.gguf import GGUFContent, write_gguf
from nanoaccel.exporters.convert.gguf.blocks import copied
from nanoaccel.exporters.convert.gguf.tokenizer import tokenizer_fields
from nanoaccel.exporters.source.gguf import (
    GGUFMetadata,
    build_tokenizer,
    load_gguf,
    read_metadata,
)
from nanoaccel.exporters.targets.onnx.stored import StoredWeight
from nanoaccel.testing import tiny_models

pytestmark = pytest.mark.export
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 10000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 512,
}
YARN = {
    "rope_type": "yarn",
    "rope_theta": 10000.0,
    "factor": 4.0,
    "original_max_position_embeddings": 1024,
}


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    tiny_models.write_tokenizer(folder)
    return folder


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("llama", {}),
        ("llama", {"rope_parameters": LLAMA3}),
        ("llama", {"rope_parameters": YARN}),
        ("mistral", {}),
        ("qwen2", {}),
        ("qwen3", {}),
        ("gemma2", {"attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0}),
        ("gemma3_text", {}),
        ("phi3", {}),
        ("granite", {}),
        ("olmo2", {}),
    ],
)
def test_written_model_is_read_as_the_same(
    kind: str, more: dict[str, Any], tokenizer: Path, tmp_path: Path
) -> None:
    import torch

    model = tiny_models.make_model(kind, **more)
    path = tmp_path / "model.gguf"
    write_gguf(path, GGUFContent(name="a", model=model, tokenizer=tokenizer), "f32")
    found = load_gguf(read_metadata(path), torch.float32)
    for name, parameter in model.named_parameters():
        close = torch.allclose(parameter.float(), found.get_parameter(name), rtol=0, atol=1e-6)
        assert close, name
    tokens = torch.arange(40)[None]
    with torch.inference_mode():
        ours, theirs = (one.eval().float()(tokens).logits for one in (model, found))
    assert (ours.log_softmax(-1) - theirs.log_softmax(-1)).abs().max() < 1e-3


@pytest.mark.parametrize(
    ("kind", "more", "told"),
    [
        ("mistral", {"sliding_window": 64}, "sliding_window=64"),
        ("gemma2", {"attn_logit_softcapping": None}, "attn_logit_softcapping=None"),
        ("gpt2", {}, "'gpt2' cannot be written as GGUF"),
        ("llama", {"hidden_act": "gelu"}, "hidden_act=gelu"),
    ],
)
def test_model_that_a_file_cannot_describe_is_refused(
    kind: str, more: dict[str, Any], told: str, tokenizer: Path, tmp_path: Path
) -> None:
    model = tiny_models.make_model(kind, **more)
    content = GGUFContent(name="a", model=model, tokenizer=tokenizer)
    with pytest.raises(UnsupportedModelError, match=told):
        write_gguf(tmp_path / "model.gguf", content, "f32")


@settings(max_examples=60, deadline=None)
@given(
    bits=st.sampled_from([4, 8]),
    blocks=st.integers(1, 3),
    groups=st.integers(1, 3),
    shifted=st.booleans(),
    data=st.data(),
)
def test_copied_codes_are_the_same_numbers(
    bits: int, blocks: int, groups: int, *, shifted: bool, data: st.DataObject
) -> None:
    """Exactly, where it says so; else to the rounding of an offset or of a scale to f16."""
    import gguf

    seed = data.draw(st.integers(0, 2**32 - 1))
    random, columns = np.random.default_rng(seed), 32 * blocks * groups
    stored = StoredWeight(
        key="a",
        raw=random.integers(0, 256, (3, columns * bits // 8), np.uint8),
        columns=columns,
        bits=bits,
        scales=random.uniform(0.001, 0.1, (3, groups)).astype(np.float16),
        zero_points=random.integers(0, 1 << bits, (3, groups), np.uint8) if shifted else None,
    )
    found = copied(stored)
    assert found is not None
    number = gguf.GGMLQuantizationType[found.type]
    weights, expected = gguf.dequantize(found.octets, number), stored.dequantize()
    if found.exact:
        np.testing.assert_array_equal(weights, expected)
    assert found.exact or shifted
    np.testing.assert_allclose(weights, expected, atol=0.1 * (0.51 if bits == 4 else 1.01))


def test_codes_that_no_type_holds_are_not_copied() -> None:
    values = np.zeros((2, 32), np.uint8)
    scales = np.ones((2, 1), np.float16)
    plain = {"key": "a", "raw": values, "columns": 64, "bits": 4, "scales": scales}
    assert copied(StoredWeight(**plain)) is not None
    order = np.arange(64)[::-1].copy()
    for change in (
        {"permutation": order},
        {"input_scale": np.ones(64, np.float32)},
        {"nf4": True},
        {"scales": np.full((2, 1), 0.1, np.float32)},
        {"scales": np.ones((2, 4), np.float16)},
    ):
        assert copied(StoredWeight(**{**plain, **change})) is None


def test_byte_fallback_tokenizer_is_written_with_scores(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, decoders, models, normalizers
    from transformers import PreTrainedTokenizerFast

    words = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    merges = [("\u2581", "t"), ("h", "e"), ("\u2581t", "he"), ("o", "n")]
    words += ["\u2581", *"abcdefghijklmnopqrstuvwxyz", *(left + right for left, right in merges)]
    library = Tokenizer(
        models.BPE(
            vocab={word: index for index, word in enumerate(words)},
            merges=merges,
            unk_token="<unk>",
            fuse_unk=True,
            byte_fallback=True,
        )
    )
    library.normalizer = normalizers.Sequence(
        [normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")]
    )
    library.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=library, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    ).save_pretrained(tmp_path)
    fields = tokenizer_fields(tmp_path, "llama", 320, [2])
    assert fields["tokenizer.ggml.model"] == "llama"
    assert fields["tokenizer.ggml.add_space_prefix"] is True
    held = {name: tuple(v) if isinstance(v, list) else v for name, v in fields.items()}
    assert len(held["tokenizer.ggml.tokens"]) == 320
    rebuilt = build_tokenizer(GGUFMetadata(Path("a.gguf"), "llama", held)).tokenizer
    for text in ("the other one", "  he\u00e9 on", ""):
        assert rebuilt.encode(text).ids == library.encode(text).ids


def test_tokenizer_of_another_kind_is_refused(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    library = Tokenizer(models.WordPiece({"[UNK]": 0, "a": 1}, unk_token="[UNK]"))
    PreTrainedTokenizerFast(tokenizer_object=library).save_pretrained(tmp_path)
    with pytest.raises(UnsupportedModelError, match="is a WordPiece"):
        tokenizer_fields(tmp_path, "llama", 2)
