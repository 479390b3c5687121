"""Tokenizers: which files decide what, and which are refused."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import tokenizers  # type: ignore[import-untyped, unused-ignore]
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import (  # type: ignore[import-untyped, unused-ignore]
    AddedToken,
    decoders,
    models,
    pre_tokenizers,
    processors,
    trainers,
)

from nanoaccel.errors import BundleDamagedError, BundleError, RequestError
from nanoaccel.text import Tokenizer

HELLO = [{"role": "user", "content": "Hello"}]
TEMPLATE = "{{ bos_token }}{% for m in messages %}{{ m.content }}{% endfor %}{{ eos_token }}"


@cache
def _tokenizer_json() -> str:
    backend = tokenizers.Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300, initial_alphabet=alphabet, show_progress=False, special_tokens=["<s>"]
    )
    backend.train_from_iterator(["Hello there, hello world"], trainer)
    names = ["</s>", "<|end|>"]
    backend.add_special_tokens([AddedToken(name, special=True) for name in names])
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 0)]
    )
    backend.enable_truncation(3)
    backend.enable_padding(length=16)
    return str(backend.to_str())


def _load(folder: Path, **files: object) -> Tokenizer:
    """Load a folder with tokenizer.json and the given files, named without .json."""
    folder.mkdir(exist_ok=True)
    (folder / "tokenizer.json").write_text(_tokenizer_json(), encoding="utf-8")
    for name, value in files.items():
        (folder / f"{name}.json").write_text(json.dumps(value), encoding="utf-8")
    return Tokenizer.load(folder)


def _id(token: str) -> int:
    found: int = tokenizers.Tokenizer.from_str(_tokenizer_json()).token_to_id(token)
    return found


def test_load_needs_tokenizer_json_alone(tmp_path: Path) -> None:
    tokenizer = _load(tmp_path)
    assert tokenizer.vocab_size == _id("<|end|>") + 1
    assert (tokenizer.bos_token, tokenizer.eos_token) == ("", "")
    assert tokenizer.bos_token_id is None
    assert tokenizer.eos_token_ids == frozenset()
    assert not tokenizer.has_chat_template


def test_load_disables_truncation_and_padding(tmp_path: Path) -> None:
    tokenizer = _load(tmp_path)
    assert len(tokenizer.encode("a b c d e f")) == 12
    assert len(tokenizer.encode("a")) == 2


def test_load_reads_special_tokens_of_both_forms(tmp_path: Path) -> None:
    config = {"bos_token": "<s>", "eos_token": {"content": "</s>", "special": True}}
    tokenizer = _load(tmp_path, tokenizer_config=config)
    assert (tokenizer.bos_token, tokenizer.bos_token_id) == ("<s>", 0)
    assert tokenizer.eos_token == "</s>"
    assert tokenizer.eos_token_ids == {_id("</s>")}


@pytest.mark.parametrize(
    ("config", "eos_token"),
    [
        ({}, "</s>"),
        ({"eos_token": "<|end|>"}, "</s>"),
        ({"eos_token": "<|end|>", "added_tokens_decoder": {}}, "<|end|>"),
        ({"added_tokens_decoder": {}}, ""),
        ({"eos_token": None, "added_tokens_decoder": {}}, ""),
    ],
)
def test_load_reads_special_tokens_map_as_transformers_does(
    tmp_path: Path, config: dict[str, object], eos_token: str
) -> None:
    legacy = {"eos_token": "</s>", "additional_special_tokens": ["<|end|>"]}
    tokenizer = _load(tmp_path, tokenizer_config=config, special_tokens_map=legacy)
    assert tokenizer.eos_token == eos_token


@pytest.mark.parametrize(
    ("generation", "model", "expected"),
    [
        ({"eos_token_id": 5}, {"eos_token_id": 7}, {5}),
        ({"eos_token_id": [5, 6]}, {}, {5, 6}),
        ({}, {"eos_token_id": 7}, {7}),
        ({"eos_token_id": None}, {"eos_token_id": [7, 8]}, {7, 8}),
        ({"eos_token_id": 0}, {"eos_token_id": 7}, {0}),
    ],
)
def test_load_collects_eos_tokens(
    tmp_path: Path, generation: object, model: object, expected: set[int]
) -> None:
    config = {"eos_token": "<|end|>"}
    files = {"generation_config": generation, "config": model, "tokenizer_config": config}
    assert _load(tmp_path, **files).eos_token_ids == expected | {_id("<|end|>")}


def test_load_finds_the_chat_template_in_each_place(tmp_path: Path) -> None:
    places: dict[str, dict[str, object]] = {
        "string": {"tokenizer_config": {"chat_template": "string"}},
        "default": {
            "tokenizer_config": {
                "chat_template": [
                    {"name": "tool_use", "template": "tools"},
                    {"name": "default", "template": "default"},
                ]
            }
        },
        "own file": {"chat_template": {"chat_template": "own file"}},
        "null": {
            "tokenizer_config": {"chat_template": None},
            "chat_template": {"chat_template": "null"},
        },
    }
    for name, files in places.items():
        tokenizer = _load(tmp_path / name, **files)
        assert tokenizer.has_chat_template
        assert tokenizer.decode(tokenizer.encode_chat(HELLO)) == name


def test_load_prefers_the_jinja_file(tmp_path: Path) -> None:
    (tmp_path / "chat_template.jinja").write_text("é from jinja", encoding="utf-8")
    tokenizer = _load(tmp_path, tokenizer_config={"chat_template": "other"})
    assert tokenizer.decode(tokenizer.encode_chat(HELLO)) == "é from jinja"


def test_load_without_a_default_template_has_none(tmp_path: Path) -> None:
    config = {"chat_template": [{"name": "tool_use", "template": "tools"}]}
    assert not _load(tmp_path, tokenizer_config=config).has_chat_template


def test_load_refuses_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="nowhere is not a folder"):
        Tokenizer.load(tmp_path / "nowhere")


def test_load_refuses_a_folder_without_tokenizer(tmp_path: Path) -> None:
    with pytest.raises(BundleDamagedError, match=r"tokenizer\.json is missing\. Export"):
        Tokenizer.load(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\xfe", b"[1,"])
def test_load_refuses_a_broken_tokenizer(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "tokenizer.json").write_bytes(content)
    with pytest.raises(BundleDamagedError, match=r"tokenizer\.json is not a tokenizer: "):
        Tokenizer.load(tmp_path)


@pytest.mark.parametrize(
    "name", ["tokenizer_config", "special_tokens_map", "generation_config", "config"]
)
@pytest.mark.parametrize("content", [b"{", b"\xff", b"[]"])
def test_load_refuses_a_broken_companion(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / f"{name}.json").write_bytes(content)
    with pytest.raises(BundleDamagedError, match=rf"{name}\.json"):
        _load(tmp_path)


@pytest.mark.parametrize("value", ["2", [1, None], 1.5, True])
def test_load_refuses_an_eos_token_id_that_is_none(tmp_path: Path, value: object) -> None:
    with pytest.raises(BundleDamagedError, match=r"eos_token_id in .*generation_config\.json"):
        _load(tmp_path, generation_config={"eos_token_id": value})


def test_load_refuses_a_chat_template_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "chat_template.jinja").write_bytes(b"\xff")
    with pytest.raises(BundleDamagedError, match=r"chat_template\.jinja cannot be read"):
        _load(tmp_path)
    with pytest.raises(BundleDamagedError, match=r"chat_template in .*tokenizer_config\.json"):
        _load(tmp_path / "b", tokenizer_config={"chat_template": 7})


def test_encode_adds_what_tokenizer_json_says(tmp_path: Path) -> None:
    tokenizer = _load(tmp_path, tokenizer_config={"add_bos_token": False, "add_eos_token": True})
    with_special = tokenizer.encode("Hello")
    assert with_special == [0, *tokenizer.encode("Hello", add_special_tokens=False)]
    assert tokenizer.encode("") == [0]


def test_encode_refuses_a_lone_surrogate(tmp_path: Path) -> None:
    tokenizer = _load(tmp_path)
    with pytest.raises(RequestError, match=r"character 2 of the text is the lone surrogate U\+D83"):
        tokenizer.encode("ab\ud83d")


def test_decode_skips_special_and_unknown_ids(tmp_path: Path) -> None:
    tokenizer = _load(tmp_path)
    ids = [*tokenizer.encode("Hello"), 10**6]
    assert tokenizer.decode(ids) == "Hello"
    assert tokenizer.decode(ids, skip_special_tokens=False) == "<s>Hello"


def test_encode_chat_adds_no_second_bos(tmp_path: Path) -> None:
    config = {"bos_token": "<s>", "eos_token": "</s>", "chat_template": TEMPLATE}
    tokenizer = _load(tmp_path, tokenizer_config=config)
    hello = tokenizer.encode("Hello", add_special_tokens=False)
    assert tokenizer.encode_chat(HELLO) == [0, *hello, _id("</s>")]


def test_encode_chat_without_template_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="no chat template"):
        _load(tmp_path).encode_chat(HELLO)


def test_encode_chat_names_the_file_of_a_broken_template(tmp_path: Path) -> None:
    tokenizer = _load(tmp_path, tokenizer_config={"chat_template": "\n{% if %}"})
    with pytest.raises(BundleError, match=r"^tokenizer_config\.json cannot be parsed \(line 2: "):
        tokenizer.encode_chat(HELLO)


@settings(deadline=None)
@given(st.text(max_size=20))
def test_detokenizer_restores_the_encoded_text(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    tokenizer = _load(tmp_path_factory.getbasetemp() / "restores")
    detokenizer = tokenizer.detokenizer()
    pieces = [detokenizer.push([token_id]) for token_id in tokenizer.encode(text)]
    assert "".join(pieces) + detokenizer.flush() == text


def test_import_leaves_jinja2_and_torch_out() -> None:
    heavy = "{'jinja2', 'torch', 'transformers'}"
    check = f"import sys, nanoaccel.text; print({heavy} & {{*sys.modules}})"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_output_text_keeps_special_tokens_by_id(tmp_path: Path) -> None:
    tokenizer = _load(tmp_path)
    hello = tokenizer.encode("a</s>", add_special_tokens=False)
    spelled = [token for letter in "</s>" for token in tokenizer.encode(letter)[1:]]
    ids = [*hello, *spelled, _id("<|end|>")]

    def text(*kept: str, stops: tuple[str, ...] = ()) -> tuple[str, str | None]:
        output = tokenizer.output_text(
            (), stops, skip_special_tokens=True, kept_special_tokens=[_id(token) for token in kept]
        )
        shown = ""
        for token in ids:
            shown += output.push(token, may_stop=True)
            if output.matched:
                break
        return shown + output.finish(), output.stop_string

    assert text() == ("a</s>", None)
    assert text("<|end|>") == ("a</s><|end|>", None)
    assert text("</s>", "<|end|>") == ("a</s></s><|end|>", None)
    assert text("</s>", stops=("</s></s>",)) == ("a", "</s></s>")
    assert text("</s>", stops=("</s></s></s>",)) == ("a</s></s>", None)
    assert text(stops=("</s></s>",)) == ("a", "</s></s>")
