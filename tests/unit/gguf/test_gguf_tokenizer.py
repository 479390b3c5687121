"""Tokenizers rebuilt from GGUF files against ids that llama.cpp gave; see data/README.md."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from nanoaccel.errors import GGUFError

gguf = pytest.importorskip("gguf")

from nanoaccel.exporters.source.gguf import (  # noqa: E402
    GGUFMetadata,
    GGUFTokenizer,
    build_tokenizer,
    read_metadata,
)
from nanoaccel.exporters.source.gguf.pretokenizers import PRETOKENIZERS  # noqa: E402

DATA = Path(__file__).parent / "data"
VOCABULARIES = json.loads((DATA / "vocabularies.json").read_text(encoding="utf-8"))
STRINGS: list[str] = json.loads((DATA / "strings.json").read_text(encoding="utf-8"))
CASES: list[dict[str, Any]] = json.loads((DATA / "llamacpp_ids.json").read_text(encoding="utf-8"))
MARKERS = ["<|im_start|>", "<|im_end|>", "<|endoftext|>", "<think>", "</think>", "\u00f8"]


def fields_of(vocabulary: str, extra: Mapping[str, object]) -> dict[str, object]:
    """The `tokenizer.ggml` fields of a vocabulary, with `extra` ones; None takes a field away."""
    content = VOCABULARIES[vocabulary]
    byte_level = vocabulary == "byte_level"
    fields = {
        "model": "gpt2" if byte_level else "llama",
        "tokens": tuple(content["tokens"]),
        "token_type": tuple(content["types"]),
        "bos_token_id": 0 if byte_level else 1,
        "eos_token_id": 2,
        "merges" if byte_level else "scores": tuple(content["merges" if byte_level else "scores"]),
        **extra,
    }
    return {f"tokenizer.ggml.{key}": value for key, value in fields.items() if value is not None}


def metadata_of(vocabulary: str, **extra: object) -> GGUFMetadata:
    return GGUFMetadata(Path("tiny.gguf"), "llama", fields_of(vocabulary, extra))


def write_gguf(path: Path, vocabulary: str, **extra: object) -> Path:
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(4096)
    for key, value in fields_of(vocabulary, extra).items():
        if key.endswith("scores"):
            writer.add_array(key, [float(score) for score in value])
        elif isinstance(value, tuple):
            writer.add_array(key, value)
        elif isinstance(value, bool):
            writer.add_bool(key, value)
        elif isinstance(value, int):
            writer.add_uint32(key, value)
        else:
            writer.add_string(key, value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    return path


def encode(
    tokenizer: Tokenizer, text: str, *, parse: bool = True, frame: bool = False
) -> list[int]:
    tokenizer.encode_special_tokens = not parse
    try:
        return list(tokenizer.encode(text, add_special_tokens=frame).ids)
    finally:
        tokenizer.encode_special_tokens = False


def differing(tokenizer: Tokenizer, rows: Mapping[str, list[int]], **how: bool) -> list[Any]:
    found = ((text, encode(tokenizer, text, **how), expected) for text, expected in rows.items())
    return [row for row in found if row[1] != row[2]]


def golden_rows(case: Mapping[str, Any]) -> tuple[dict[str, list[int]], dict[str, list[int]]]:
    """Ids of every string with special tokens parsed, and without."""
    first = next(other for other in CASES if other["vocabulary"] == case["vocabulary"])
    parsed = {
        text: own if own is not None else shared
        for text, own, shared in zip(STRINGS, case["parsed"], first["parsed"], strict=True)
    }
    plain = {text: case["plain"].get(str(row), parsed[text]) for row, text in enumerate(STRINGS)}
    return parsed, plain


def case_name(case: Mapping[str, Any]) -> str:
    fields = " ".join(
        str(value) if key == "pre" else f"{key}={value}" for key, value in case["fields"].items()
    )
    return f"{case['vocabulary']}-{fields}"


@pytest.mark.parametrize("case", CASES, ids=case_name)
def test_build_tokenizer_gives_the_ids_of_llama_cpp(case: dict[str, Any]) -> None:
    tokenizer = build_tokenizer(metadata_of(case["vocabulary"], **case["fields"])).tokenizer
    parsed, plain = golden_rows(case)
    framed = dict(zip(STRINGS, case["framed"], strict=False))
    assert differing(tokenizer, parsed) == []
    assert differing(tokenizer, plain, parse=False) == []
    assert differing(tokenizer, framed, frame=True) == []


def test_build_tokenizer_reads_what_a_file_holds(tmp_path: Path) -> None:
    for case in (CASES[0], CASES[-1]):
        path = write_gguf(tmp_path / "tiny.gguf", case["vocabulary"], **case["fields"])
        built = build_tokenizer(read_metadata(path))
        assert built.context_length == 4096
        assert differing(built.tokenizer, golden_rows(case)[0]) == []


@pytest.mark.sample
def test_build_tokenizer_gives_the_ids_of_llama_cpp_for_the_sample(sample_gguf: Path) -> None:
    golden = json.loads((DATA / "smollm2_ids.json").read_text(encoding="utf-8"))
    built = build_tokenizer(read_metadata(sample_gguf))
    parsed = dict(zip(STRINGS, golden["parsed"], strict=True))
    plain = {text: golden["plain"].get(str(row), parsed[text]) for row, text in enumerate(STRINGS)}
    assert differing(built.tokenizer, parsed) == []
    assert differing(built.tokenizer, parsed, frame=True) == []
    assert differing(built.tokenizer, plain, parse=False) == []
    assert (built.bos_token, built.eos_token) == ("<|im_start|>", "<|im_end|>")
    assert built.eos_token_ids == (2,)
    assert built.chat_template is not None


_ROUND_TRIP = {
    name: build_tokenizer(metadata_of("byte_level", pre=name)).tokenizer
    for name in ("smollm", "llama-bpe", "qwen2", "deepseek-llm", "tekken", "default")
}
_SENTENCEPIECE = {
    prefix: build_tokenizer(metadata_of("sentencepiece", add_space_prefix=prefix)).tokenizer
    for prefix in (True, False)
}


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(st.text(), st.sampled_from([*MARKERS, *STRINGS])), max_size=6))
def test_decode_returns_what_a_byte_level_tokenizer_encoded(parts: list[str]) -> None:
    text = "".join(parts)
    for tokenizer in _ROUND_TRIP.values():
        assert tokenizer.decode(encode(tokenizer, text), skip_special_tokens=False) == text
        ids = encode(tokenizer, text, parse=False)
        assert tokenizer.decode(ids, skip_special_tokens=False) == text


@settings(max_examples=200, deadline=None)
@given(st.text().filter(lambda text: "\u2581" not in text))
def test_decode_returns_what_a_sentencepiece_tokenizer_encoded(text: str) -> None:
    for tokenizer in _SENTENCEPIECE.values():
        assert tokenizer.decode(encode(tokenizer, text), skip_special_tokens=False) == text


def test_space_prefix_follows_every_special_token() -> None:
    tokenizer = _SENTENCEPIECE[True]
    word = encode(tokenizer, "the")
    assert tokenizer.id_to_token(word[0]).startswith("\u2581")
    assert encode(tokenizer, "<s>the</s>the") == [1, *word, 2, *word]
    assert encode(_SENTENCEPIECE[False], "<s> the") == [1, *word]


def saved(built: GGUFTokenizer, folder: Path) -> Iterator[tuple[str, Any]]:
    import transformers

    built.save(folder)
    yield "tokenizers", Tokenizer.from_file(str(folder / "tokenizer.json"))
    yield "fast", transformers.PreTrainedTokenizerFast.from_pretrained(folder)
    yield "auto", transformers.AutoTokenizer.from_pretrained(folder)


@pytest.mark.export
@pytest.mark.parametrize(
    ("vocabulary", "extra"),
    [
        ("byte_level", {"pre": "smollm"}),
        ("byte_level", {"pre": "llama-bpe"}),
        ("byte_level", {"pre": "qwen2", "add_bos_token": True, "add_eos_token": True}),
        ("byte_level", {"pre": "gpt-2", "add_bos_token": True, "bos_token_id": 40}),
        ("sentencepiece", {}),
        ("sentencepiece", {"add_bos_token": False, "add_space_prefix": False}),
    ],
)
def test_save_keeps_ids_and_text(tmp_path: Path, vocabulary: str, extra: dict[str, object]) -> None:
    built = build_tokenizer(metadata_of(vocabulary, **extra))
    framed = [encode(built.tokenizer, text, frame=True) for text in STRINGS]
    bare = [encode(built.tokenizer, text) for text in STRINGS]
    text = [built.tokenizer.decode(ids, skip_special_tokens=False) for ids in bare]
    for name, loaded in saved(built, tmp_path):
        if name == "tokenizers":
            assert [encode(loaded, string, frame=True) for string in STRINGS] == framed
            assert [encode(loaded, string) for string in STRINGS] == bare
        else:
            assert [loaded.encode(string) for string in STRINGS] == framed
            assert [loaded.encode(string, add_special_tokens=False) for string in STRINGS] == bare
            assert loaded.bos_token == built.bos_token
            assert loaded.eos_token == built.eos_token
        assert [loaded.decode(ids, skip_special_tokens=False) for ids in bare] == text


def test_save_writes_what_the_file_says(tmp_path: Path) -> None:
    metadata = metadata_of("sentencepiece", padding_token_id=2)
    extra = {"tokenizer.chat_template": "{{ 'Zo\u00eb' }}\n", "llama.context_length": 2048}
    metadata = GGUFMetadata(metadata.path, "llama", {**metadata.fields, **extra})
    build_tokenizer(metadata).save(tmp_path / "new")
    template = (tmp_path / "new" / "chat_template.jinja").read_text(encoding="utf-8")
    assert template == "{{ 'Zo\u00eb' }}\n"
    assert json.loads((tmp_path / "new" / "tokenizer_config.json").read_text()) == {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<s>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "pad_token": "</s>",
        "add_bos_token": True,
        "add_eos_token": False,
        "clean_up_tokenization_spaces": False,
        "model_max_length": 2048,
    }


def with_template(name: str) -> GGUFMetadata:
    plain = metadata_of("sentencepiece")
    fields = {**plain.fields, f"tokenizer.chat_template.{name}": "tools"}
    return GGUFMetadata(plain.path, "llama", fields)


def test_save_keeps_named_templates(tmp_path: Path) -> None:
    build_tokenizer(with_template("tool_use")).save(tmp_path)
    kept = tmp_path / "additional_chat_templates" / "tool_use.jinja"
    assert kept.read_text(encoding="utf-8") == "tools"


def test_build_tokenizer_refuses_template_names_that_leave_the_folder() -> None:
    with pytest.raises(GGUFError, match=r"chat_template\.\.\./x"):
        build_tokenizer(with_template("../x"))


def test_save_without_template_writes_none(tmp_path: Path) -> None:
    built = build_tokenizer(metadata_of("byte_level", pre="smollm"))
    built.save(tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "tokenizer.json",
        "tokenizer_config.json",
    ]


def test_eos_token_ids_hold_every_end_once() -> None:
    ends = {"eos_token_id": 2, "eot_token_id": 0, "eom_token_id": 2}
    assert build_tokenizer(metadata_of("byte_level", **ends)).eos_token_ids == (2, 0)


def test_token_ids_beyond_the_vocabulary_are_ignored() -> None:
    byte_level = build_tokenizer(metadata_of("byte_level", eos_token_id=9999, bos_token_id=None))
    assert (byte_level.eos_token, byte_level.eos_token_ids) == (None, ())
    assert byte_level.bos_token is None
    sentencepiece = build_tokenizer(metadata_of("sentencepiece", eos_token_id=9999))
    assert (sentencepiece.eos_token, sentencepiece.eos_token_ids) == ("</s>", (2,))


def test_tokens_spelled_like_control_tokens_are_control_tokens() -> None:
    tokens = VOCABULARIES["byte_level"]["tokens"]
    built = build_tokenizer(metadata_of("byte_level", token_type=(1,) * len(tokens)))
    assert encode(built.tokenizer, "<|im_end|>") == [tokens.index("<|im_end|>")]
    assert len(encode(built.tokenizer, "<|im_start|>")) > 1


def test_missing_token_types_mean_ordinary_tokens() -> None:
    built = build_tokenizer(metadata_of("byte_level", token_type=None))
    assert len(encode(built.tokenizer, "<think>")) > 1


def test_user_defined_tokens_stay_in_text_when_special_ones_are_skipped() -> None:
    tokenizer = _ROUND_TRIP["smollm"]
    ids = encode(tokenizer, "<|im_start|><think>\u00f8<|im_end|>")
    assert len(ids) == 4
    assert tokenizer.decode(ids, skip_special_tokens=True) == "<think>\u00f8"


def test_bytes_without_a_token_are_dropped_and_keep_their_neighbours_apart() -> None:
    tokens = VOCABULARIES["byte_level"]["tokens"]
    lacking = tuple("[GONE]" if token == "\u011d" else token for token in tokens)  # byte 0x1D
    tokenizer = build_tokenizer(metadata_of("byte_level", tokens=lacking)).tokenizer
    assert len(encode(tokenizer, "!!")) == 1
    assert encode(tokenizer, "!\x1d!") == encode(tokenizer, "!") * 2


def test_phi3_markers_take_the_white_space_behind_them() -> None:
    fields = {**fields_of("sentencepiece", {}), "general.name": "Phi-3 mini"}
    phi3 = build_tokenizer(GGUFMetadata(Path("tiny.gguf"), "phi3", fields)).tokenizer
    assert encode(phi3, "<|im_end|>\n the") == encode(phi3, "<|im_end|>the")
    assert encode(phi3, "<s>\n the") != encode(phi3, "<s>the")


def test_every_known_pretokenizer_builds() -> None:
    for name in PRETOKENIZERS:
        tokenizer = build_tokenizer(metadata_of("byte_level", pre=name)).tokenizer
        assert tokenizer.decode(encode(tokenizer, "It's 12345 \u65e5\u672c!\n")) is not None


@pytest.mark.parametrize(
    ("vocabulary", "extra", "message"),
    [
        ("byte_level", {"model": "t5"}, "tiny.gguf has a tokenizer of kind 't5'; known are gpt2"),
        ("byte_level", {"model": None}, "tiny.gguf has no 'tokenizer.ggml.model'"),
        ("byte_level", {"pre": "qwen9"}, "'qwen9'; known are qwen2, qwen35, "),
        ("byte_level", {"merges": None}, "tiny.gguf has no 'tokenizer.ggml.merges'"),
        ("byte_level", {"merges": ("q zzz",)}, "its merges do not fit its tokens"),
        ("byte_level", {"tokens": None}, "tiny.gguf has no 'tokenizer.ggml.tokens'"),
        ("byte_level", {"tokens": ()}, "of its 0 tokens 0 are doubles"),
        ("byte_level", {"tokens": ("a", "b", "a")}, "of its 3 tokens 1 are doubles"),
        ("byte_level", {"token_type": (1, 1)}, "but 2 token types"),
        ("byte_level", {"add_bos_token": True, "bos_token_id": None}, "it asks for BOS"),
        ("byte_level", {"add_eos_token": True, "eos_token_id": None}, "it asks for EOS"),
        ("sentencepiece", {"scores": None}, "tiny.gguf has no 'tokenizer.ggml.scores'"),
        ("sentencepiece", {"scores": (0, 1)}, "its 2 scores do not rank its tokens"),
        ("sentencepiece", {"scores": (-1000.0,) * 1500}, "its 1500 scores do not rank its tokens"),
    ],
)
def test_build_tokenizer_refuses(vocabulary: str, extra: dict[str, Any], message: str) -> None:
    with pytest.raises(GGUFError) as caught:
        build_tokenizer(metadata_of(vocabulary, **extra))
    assert message in str(caught.value)
    assert caught.value.remedy is not None
    assert "\n" not in str(caught.value)


def test_empty_tokens_have_names_of_their_own() -> None:
    tokens = ("", *VOCABULARIES["sentencepiece"]["tokens"][1:])
    tokenizer = build_tokenizer(metadata_of("sentencepiece", tokens=tokens)).tokenizer
    assert tokenizer.id_to_token(0) == "[EMPTY_0]"
