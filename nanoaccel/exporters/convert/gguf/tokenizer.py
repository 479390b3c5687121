"""A tokenizer's files as the fields of a GGUF file.

The file names the way text is split, and llama.cpp has a list of these. The way is found by what
it does: of those in the list, the first that gives the tokenizer's own tokens for every probe.
"""

from __future__ import annotations

import json
import random
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer as Library

from nanoaccel.errors import NanoAccelError, UnsupportedModelError
from nanoaccel.exporters.source.gguf import GGUFMetadata, build_tokenizer
from nanoaccel.exporters.source.gguf.pretokenizers import PRETOKENIZERS
from nanoaccel.text import Tokenizer
from nanoaccel.text.chat_templates import ChatTemplates

_NORMAL, _UNKNOWN, _CONTROL, _USER_DEFINED, _UNUSED, _BYTE = range(1, 7)
_REMEDY = "Convert it to a bundle instead, whose tokenizer.json says everything"
_BYTES = frozenset(f"<0x{value:02X}>" for value in range(256))
_PIECES = (
    *("the", "Hello", "WORLD", "camelCase", "it's", "I'M", "we'll", "x1", "12345", "3.14"),
    *(" ", "  ", "\n", "\n\n", "\t", "\r\n", " \n ", "!", "?!", "...", "(a)", "[0]", "{'a'}"),
    *("==", "$1,000.50", "#", "//", "Gr\u00fc\u00dfe", "\u041f\u0440\u0438\u0432\u0435\u0442"),
    *("\u4f60\u597d", "\uff0c", "\u3053\u3093", "\ud55c\uad6d", "\u0645\u0631", "\u0928\u092e"),
    *("\U0001f44d", "\ufb01", "\u00bd", "\u200b", "'S", "a_b", "9", "77", "100000", "%"),
)


def tokenizer_fields(
    folder: Path, architecture: str, vocabulary: int, end_ids: Sequence[int] = ()
) -> dict[str, object]:
    """Every key ``tokenizer.*``.

    Args:
        folder: Where tokenizer.json is.
        architecture: llama.cpp's name of the model's architecture.
        vocabulary: Rows of the embedding, which may be more than there are tokens.
        end_ids: Tokens that end a text, as generation_config.json has them.

    Raises:
        UnsupportedModelError: llama.cpp has no tokenizer that gives the same tokens.
    """
    content = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    model = content["model"]
    if model.get("type") != "BPE":
        raise UnsupportedModelError(
            f"the tokenizer is a {model.get('type')}; as GGUF only BPE can be written", _REMEDY
        )
    own = Library.from_file(str(folder / "tokenizer.json"))
    tokens, kinds = _tokens(content, vocabulary)
    fields: dict[str, object] = {
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": kinds,
        **_special(folder, own, end_ids),
        **_templates(folder),
    }
    probes = _probes(content)
    if model.get("byte_fallback"):
        fields |= {"tokenizer.ggml.model": "llama", "tokenizer.ggml.scores": _scores(model, tokens)}
        ways: Iterator[dict[str, object]] = iter(
            {"tokenizer.ggml.add_space_prefix": prefix} for prefix in (True, False)
        )
    else:
        fields |= {"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.merges": _merges(model)}
        ways = ({"tokenizer.ggml.pre": name} for name in _splittings())
    for way in ways:
        if _same(own, {**fields, **way}, architecture, probes):
            return {**fields, **way}
    raise UnsupportedModelError(
        "llama.cpp has no tokenizer that gives the tokens of this model's tokenizer.json", _REMEDY
    )


def _tokens(content: Mapping[str, Any], vocabulary: int) -> tuple[list[str], list[int]]:
    """Spelling and kind of each id, up to the size of the embedding."""
    by_id = {index: (token, _NORMAL) for token, index in content["model"]["vocab"].items()}
    unknown = content["model"].get("unk_token")
    for index, (token, _) in by_id.items():
        if content["model"].get("byte_fallback") and token in _BYTES:
            by_id[index] = (token, _BYTE)
    for added in content.get("added_tokens") or ():
        kind = _CONTROL if added["special"] else _USER_DEFINED
        by_id[added["id"]] = (added["content"], _UNKNOWN if added["content"] == unknown else kind)
    count = max(vocabulary, max(by_id) + 1)
    if count > vocabulary:
        raise UnsupportedModelError(
            f"the tokenizer has {count} tokens, and the model {vocabulary}",
            "The tokenizer is another model's",
        )
    found = [by_id.get(index, (f"[PAD{index}]", _UNUSED)) for index in range(count)]
    return [token for token, _ in found], [kind for _, kind in found]


def _special(folder: Path, own: Library, end_ids: Sequence[int]) -> dict[str, object]:
    """Ids of special tokens, and which of them frame a text."""
    tokenizer = Tokenizer.load(folder)
    config = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    fields: dict[str, object] = {}
    spelled: dict[str, str | None] = {"bos": tokenizer.bos_token, "eos": tokenizer.eos_token}
    for name, key in (("unknown", "unk_token"), ("padding", "pad_token")):
        value = config.get(key)
        spelled[name] = value.get("content") if isinstance(value, dict) else value
    ids = {name: own.token_to_id(token) for name, token in spelled.items() if token}
    ends = list(dict.fromkeys(end_ids))
    if ends:
        if ids.get("eos") not in ends:
            ids["eos"] = ends[0]
        others = [end for end in ends if end != ids["eos"]]
        ids |= dict(zip(("eot", "eom"), others, strict=False))
    for name, index in ids.items():
        if index is not None:
            fields[f"tokenizer.ggml.{name}_token_id"] = index
    plain = own.encode("a", add_special_tokens=False).ids
    framed = own.encode("a", add_special_tokens=True).ids
    fields["tokenizer.ggml.add_bos_token"] = framed[:1] == [ids.get("bos")] != plain[:1]
    fields["tokenizer.ggml.add_eos_token"] = framed[-1:] == [ids.get("eos")] != plain[-1:]
    return fields


def _templates(folder: Path) -> dict[str, object]:
    config = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    found = ChatTemplates.load(folder, config, {}).by_name
    return {
        "tokenizer.chat_template" + ("" if name == "default" else f".{name}"): text
        for name, text in found.items()
    }


def _merges(model: Mapping[str, Any]) -> list[str]:
    pairs = model["merges"]
    return [pair if isinstance(pair, str) else " ".join(pair) for pair in pairs]


def _scores(model: Mapping[str, Any], tokens: Sequence[str]) -> list[float]:
    """Scores that rank tokens as the merges do; llama.cpp merges what gives the highest."""
    rank: dict[str, int] = {}
    for place, pair in enumerate(_merges(model)):
        left, _, right = pair.partition(" ")
        rank.setdefault(left + right, place)
    last = len(rank) + 1
    return [-float(rank.get(token, last)) for token in tokens]


def _splittings() -> Iterator[str]:
    """A name for each way of splitting that is known."""
    seen = []
    for name, splitting in PRETOKENIZERS.items():
        if splitting not in seen:
            seen.append(splitting)
            yield name


def _probes(content: Mapping[str, Any]) -> list[str]:
    """Texts in which ways of splitting differ; composed where the tokenizer composes them."""
    source = random.Random(0)
    texts = ["", *_PIECES]
    texts += ["".join(source.choices(_PIECES, k=source.randint(2, 12))) for _ in range(400)]
    if "NFC" in json.dumps(content.get("normalizer")):
        texts = [unicodedata.normalize("NFC", text) for text in texts]
    return texts


def _same(
    own: Library, fields: Mapping[str, object], architecture: str, probes: Sequence[str]
) -> bool:
    held = {name: tuple(v) if isinstance(v, list) else v for name, v in fields.items()}
    try:
        found = build_tokenizer(GGUFMetadata(Path("model.gguf"), architecture, held)).tokenizer
    except NanoAccelError:
        return False
    return all(
        found.encode(text, add_special_tokens=adds).ids
        == own.encode(text, add_special_tokens=adds).ids
        for text in probes
        for adds in ((True, False) if text == "a" else (True,))
    )
