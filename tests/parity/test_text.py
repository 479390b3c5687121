"""Text and tokens are those of transformers' fast tokenizer of the same folder."""

from __future__ import annotations

import json
import random
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer as Backend
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

from nanoaccel.errors import SourceError
from nanoaccel.exporters.source.model_source import Source
from nanoaccel.exporters.source.tokenizer_files import write_tokenizer
from nanoaccel.testing import tiny_models
from nanoaccel.text import Tokenizer

transformers = pytest.importorskip("transformers")

WORDS = ["the tide comes in", "def add(a, b):", "Grüße 👍 to you", "one  two\n three"]
TEXTS = ["a<|x|>b", "hi <|new|> there", "<|im_start|>user\nhi<|im_end|>", "<img> x", " two  x "]


def _token(content: str, **more: object) -> dict[str, object]:
    flags = dict.fromkeys(("lstrip", "rstrip", "single_word", "normalized"), False)
    return {"content": content, **flags, "special": True, **more}


VARIANTS: dict[str, dict[str, dict[str, Any]]] = {
    "added_tokens_decoder": {
        "tokenizer_config": {
            "added_tokens_decoder": {
                "385": _token("<|new|>"),
                "384": _token("<|x|>", special=False, normalized=True),
            }
        }
    },
    "special_tokens_map": {
        "special_tokens_map": {
            "eos_token": _token("<|x|>"),
            "additional_special_tokens": ["<|new|>"],
        }
    },
    "extra names": {
        "tokenizer_config": {
            "image_token": "<img>",
            "extra_special_tokens": {"other_token": "<|x|>"},
        }
    },
    "added_tokens": {
        "added_tokens": {"<|new|>": 385, "<|x|>": 384},
        "special_tokens_map": {"eos_token": "<|x|>"},
    },
    "add_bos_token": {"tokenizer_config": {"add_bos_token": True, "add_eos_token": True}},
    "split_special_tokens": {"tokenizer_config": {"split_special_tokens": True}},
    "a bos that strips": {
        "tokenizer_config": {
            "bos_token": {"__type": "AddedToken", **_token("<|new|>", lstrip=True)}
        }
    },
    "no eos": {"tokenizer_config": {"eos_token": None}},
    "Qwen's class": {
        "tokenizer_config": {"tokenizer_class": "Qwen2Tokenizer"},
        "config": {"model_type": "qwen2"},
    },
}


def _write(folder: Path, files: dict[str, dict[str, Any]]) -> None:
    folder.mkdir()
    tiny_models.write_tokenizer(folder)
    for name, changes in files.items():
        path = folder / f"{name}.json"
        known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        path.write_text(json.dumps(known | changes), encoding="utf-8")


@pytest.mark.parametrize("exported", [True, False])
@pytest.mark.parametrize("name", VARIANTS)
def test_tokenizer_is_the_one_of_transformers(tmp_path: Path, name: str, exported: bool) -> None:
    _write(tmp_path / "model", VARIANTS[name])
    reference = transformers.AutoTokenizer.from_pretrained(tmp_path / "model")
    folder = tmp_path / "model"
    if exported:
        folder = tmp_path / "bundle"
        folder.mkdir()
        assert write_tokenizer(Source("model", None, tmp_path / "model", None), folder) == ()
    tokenizer = Tokenizer.load(folder)
    assert tokenizer.vocab_size == len(reference)
    assert tokenizer.bos_token == (reference.bos_token or "")
    assert tokenizer.eos_token == (reference.eos_token or "")
    for text in TEXTS:
        ids = reference.encode(text)
        assert tokenizer.encode(text) == ids, text
        assert tokenizer.decode(ids) == reference.decode(ids, skip_special_tokens=True)
        assert tokenizer.decode(ids, skip_special_tokens=False) == reference.decode(ids)


def test_write_tokenizer_keeps_what_a_class_of_another_kind_loses(tmp_path: Path) -> None:
    _write(
        tmp_path / "model",
        {
            "tokenizer_config": {"tokenizer_class": "LlamaTokenizerFast"},
            "config": {"model_type": "llama"},
        },
    )
    (tmp_path / "bundle").mkdir()
    write_tokenizer(Source("model", None, tmp_path / "model", None), tmp_path / "bundle")
    text = "Grüße 👍\n\tto  you"
    own = Backend.from_file(str(tmp_path / "model" / "tokenizer.json")).encode(text).ids
    assert Tokenizer.load(tmp_path / "bundle").encode(text) == own


def test_write_tokenizer_names_code_that_it_does_not_run(tmp_path: Path) -> None:
    _write(
        tmp_path / "model",
        {"tokenizer_config": {"auto_map": {"AutoTokenizer": ["own.Mine", None]}}},
    )
    (tmp_path / "model" / "tokenizer.json").unlink()
    (tmp_path / "bundle").mkdir()
    with pytest.raises(SourceError, match=r"code of its folder \(own\.Mine\), which is never run"):
        write_tokenizer(Source("model", None, tmp_path / "model", None), tmp_path / "bundle")


@cache
def _spaced(kind: str) -> Any:
    """A tokenizer of SentencePiece's kind, as Llama 2 or as T5 has it, or a byte-level one."""
    special = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    backend = Backend(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    if kind == "byte level":
        special = ["<unk>", "<s>", "</s>"]
        backend = Backend(models.BPE())
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        backend.decoder = decoders.ByteLevel()
    elif kind == "llama":
        backend.normalizer = normalizers.Sequence(
            [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
        )
        parts = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
        backend.decoder = decoders.Sequence([*parts, decoders.Strip(" ", 1, 0)])
    else:
        backend.pre_tokenizer = pre_tokenizers.Metaspace()
        backend.decoder = decoders.Metaspace()
    trainer = trainers.BpeTrainer(
        vocab_size=500 if kind != "byte level" else 320,
        special_tokens=special[:3],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet() if kind == "byte level" else [],
        show_progress=False,
    )
    backend.train_from_iterator([word for text in WORDS for word in text.split()] * 4, trainer)
    state = json.loads(backend.to_str())
    if kind == "llama":
        vocabulary = state["model"]["vocab"]
        for name in [*special[3:], "▁"]:
            vocabulary.setdefault(name, len(vocabulary))
        backend = Backend.from_str(json.dumps(state))
    return backend


@pytest.mark.parametrize("skips", [True, False])
@pytest.mark.parametrize("kind", ["llama", "metaspace", "byte level"])
def test_output_goes_on_from_the_prompt(tmp_path: Path, kind: str, skips: bool) -> None:
    reference = transformers.PreTrainedTokenizerFast(
        tokenizer_object=_spaced(kind), bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )
    reference.save_pretrained(tmp_path)
    tokenizer = Tokenizer.load(tmp_path)
    draw = random.Random(1)
    for _ in range(300):
        ids = [draw.randrange(len(reference)) for _ in range(draw.randrange(1, 14))]
        cut = draw.randrange(len(ids) + 1)
        if draw.random() < 0.5:
            ids[:cut] = reference.encode(draw.choice(WORDS))
            cut = len(reference.encode(draw.choice(WORDS[:1]))) if cut > len(ids) else cut
        text = tokenizer.output_text(ids[:cut], (), skip_special_tokens=skips)
        pieces = [text.push(token, may_stop=True) for token in ids[cut:]]
        before = reference.decode(ids[:cut], skip_special_tokens=skips)
        whole = reference.decode(ids, skip_special_tokens=skips)
        output = "".join(pieces) + text.finish()
        if whole.startswith(before) and "\ufffd" not in before:
            assert before + output == whole
        else:  # the prompt ended inside of a character
            assert whole.endswith(output)
