"""Detokenizers: pieces joined are the whole, and no character comes in halves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import (  # type: ignore[import-untyped, unused-ignore]
    AddedToken,
    Tokenizer,
    decoders,
    models,
    pre_tokenizers,
    trainers,
)

from nanoaccel.text.detokenizer import detokenizers_of

SENTENCES = ["the cat sat on the mat", "你好世界 你们好", "naïve café 👩‍👩‍👧 👍🏽", "привет, мир"]
WORDS = ["▁", "▁▁", "▁a", "a", "▁the", "cat", "你", "\ufffd", "é", "."]


@cache
def _byte_level() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    # Merges of a few sentences leave tokens that hold a part of a character.
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(SENTENCES * 2, trainer)
    return _with_added_tokens(tokenizer)


def _sentencepiece(decoder: decoders.Decoder) -> Tokenizer:
    vocab = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), *WORDS]
    tokenizer = Tokenizer(
        models.BPE(
            vocab={token: index for index, token in enumerate(vocab)},
            merges=[],
            byte_fallback=True,
            unk_token="<unk>",
        )
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoder
    return _with_added_tokens(tokenizer)


@cache
def _llama() -> Tokenizer:
    parts = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    return _sentencepiece(decoders.Sequence([*parts, decoders.Strip(" ", 1, 0)]))


@cache
def _gemma() -> Tokenizer:
    parts = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    return _sentencepiece(decoders.Sequence(parts))


@cache
def _metaspace() -> Tokenizer:
    return _sentencepiece(decoders.Metaspace())


def _words(decoder: decoders.Decoder | None, words: Sequence[str]) -> Tokenizer:
    vocab = {word: index for index, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordPiece(vocab=vocab, unk_token=words[0]))
    if decoder is not None:
        tokenizer.decoder = decoder
    return _with_added_tokens(tokenizer)


@cache
def _wordpiece() -> Tokenizer:
    return _words(decoders.WordPiece(), ["[UNK]", "do", "n't", "##ing", "##s", ".", "cat", "?"])


@cache
def _suffixed() -> Tokenizer:
    return _words(decoders.BPEDecoder(), ["<unk>", "c", "at</w>", "the</w>", "a", "s</w>"])


@cache
def _undecoded() -> Tokenizer:
    return _words(None, ["<unk>", "the", "cat"])


def _with_added_tokens(tokenizer: Tokenizer) -> Tokenizer:
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in ("<s>", "</s>")])
    tokenizer.add_tokens(["<think>", " spaced é ", "éà"])
    return tokenizer


TOKENIZERS = [_byte_level, _llama, _gemma, _metaspace, _wordpiece, _suffixed, _undecoded]


def _pieces(tokenizer: Tokenizer, parts: Sequence[Sequence[int]]) -> list[str]:
    detokenizer = detokenizers_of(tokenizer)()
    return [*(detokenizer.push(part) for part in parts), detokenizer.flush()]


@cache
def _stretches(make: Callable[[], Tokenizer]) -> st.SearchStrategy[list[int]]:
    """Stretches of text, of spelled bytes, of added tokens, and of any ids, unknown ones too."""
    tokenizer = make()
    texts = st.text(max_size=6).map(lambda text: tokenizer.encode(text).ids)
    added = st.lists(st.sampled_from(list(tokenizer.get_added_tokens_decoder())), max_size=3)
    anything = st.lists(st.integers(0, tokenizer.get_vocab_size() + 3), max_size=6)
    as_bytes = [tokenizer.token_to_id(f"<0x{byte:02X}>") for byte in range(256)]
    if None in as_bytes:
        return st.one_of(texts, added, anything)
    spelled = st.text("éa你👍", min_size=1, max_size=3)
    return st.one_of(
        texts,
        added,
        anything,
        spelled.map(lambda text: [as_bytes[byte] for byte in text.encode()]),
    )


@st.composite
def _parts(draw: st.DrawFn, make: Callable[[], Tokenizer]) -> list[list[int]]:
    """Token ids, cut anywhere."""
    ids = [i for stretch in draw(st.lists(_stretches(make), max_size=5)) for i in stretch]
    places = draw(st.lists(st.integers(0, len(ids)), max_size=8))
    return [ids[start:end] for start, end in pairwise([0, *sorted(places), len(ids)])]


@pytest.mark.parametrize("make", TOKENIZERS)
@settings(max_examples=120, deadline=None)
@given(data=st.data())
def test_detokenizer_pieces_join_to_the_decoded_whole(
    make: Callable[[], Tokenizer], data: st.DataObject
) -> None:
    tokenizer = make()
    parts = data.draw(_parts(make))
    ids = [token_id for part in parts for token_id in part]
    whole = tokenizer.decode(ids, skip_special_tokens=True)
    assert "".join(_pieces(tokenizer, parts)) == whole
    assert "".join(_pieces(tokenizer, [[token_id] for token_id in ids])) == whole


@pytest.mark.parametrize("make", TOKENIZERS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_detokenizer_leaves_out_what_is_named_alone(
    make: Callable[[], Tokenizer], data: st.DataObject
) -> None:
    tokenizer = make()
    ids = [token_id for part in data.draw(_parts(make)) for token_id in part]
    detokenizer = detokenizers_of(tokenizer, frozenset({"<s>"}))()
    text = "".join([*(detokenizer.push([token_id]) for token_id in ids), detokenizer.flush()])
    left = [token_id for token_id in ids if token_id != tokenizer.token_to_id("<s>")]
    assert text == tokenizer.decode(left, skip_special_tokens=False)


@settings(deadline=None)
@given(st.lists(st.sampled_from([0x41, 0xC3, 0xA9, 0xE4, 0xED, 0xA0, 0xF0, 0x9F, 0xFF, 0x80])))
def test_detokenizer_byte_level_replaces_invalid_bytes_as_the_tokenizer_does(
    raw: list[int],
) -> None:
    tokenizer = _byte_level()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    others = sorted(set(range(256)) - {ord(letter) for letter in alphabet})
    letters = dict(zip(others, alphabet[-len(others) :], strict=True))
    ids = [tokenizer.token_to_id(letters.get(byte, chr(byte))) for byte in raw]
    whole = bytes(raw).decode(errors="replace")
    assert tokenizer.decode(ids) == whole
    assert "".join(_pieces(tokenizer, [[i] for i in ids])) == whole


@pytest.mark.parametrize("make", [_byte_level, _llama, _gemma])
@settings(deadline=None)
@given(text=st.text("ab 你👩\u200dé", max_size=12))
def test_detokenizer_never_shows_half_a_character(make: Callable[[], Tokenizer], text: str) -> None:
    tokenizer = make()
    ids = tokenizer.encode(text).ids
    assert not any("\ufffd" in piece for piece in _pieces(tokenizer, [[i] for i in ids]))


@pytest.mark.parametrize(
    ("make", "token"), [(_byte_level, "ÿ"), (_llama, "<0xFF>"), (_gemma, "<0xFF>")]
)
def test_detokenizer_shows_invalid_bytes_at_once(make: Callable[[], Tokenizer], token: str) -> None:
    tokenizer = make()
    detokenizer = detokenizers_of(tokenizer)()
    token_id = tokenizer.token_to_id(token)
    assert [detokenizer.push([token_id]) for _ in range(5)] == ["\ufffd"] * 5
    assert detokenizer.flush() == ""


def test_detokenizer_gives_up_an_incomplete_character_in_bounded_time() -> None:
    tokenizer = _byte_level()
    detokenizer = detokenizers_of(tokenizer)()
    start, letter = tokenizer.token_to_id("ð"), tokenizer.token_to_id("a")
    assert detokenizer.push([start]) == ""
    assert detokenizer.push([letter]) == "\ufffda"


def test_detokenizer_flush_shows_an_incomplete_character() -> None:
    for tokenizer, token in ((_byte_level(), "ð"), (_llama(), "<0xF0>")):
        detokenizer = detokenizers_of(tokenizer)()
        assert detokenizer.push([tokenizer.token_to_id(token)]) == ""
        assert detokenizer.flush() == "\ufffd"
        assert detokenizer.flush() == ""


def test_detokenizer_keeps_the_space_after_a_special_token() -> None:
    tokenizer = _llama()
    ids = [tokenizer.token_to_id(token) for token in ("<s>", "▁the", "<s>", "▁a")]
    assert _pieces(tokenizer, [[i] for i in ids]) == ["", "the", "", " a", ""]


def test_detokenizer_holds_a_run_of_byte_tokens_until_it_ends() -> None:
    tokenizer = _llama()
    ids = [tokenizer.token_to_id(f"<0x{byte:02X}>") for byte in "é👍".encode()]
    pieces = _pieces(tokenizer, [*([i] for i in ids), [tokenizer.token_to_id("a")]])
    assert pieces == ["", "", "", "", "", "", "é👍a", ""]


class _Counting:
    """A tokenizer that counts the ids that it is asked to decode."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self.decoded = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._tokenizer, name)

    def decode(self, ids: list[int], skip_special_tokens: bool) -> str:
        self.decoded += len(ids)
        text: str = self._tokenizer.decode(ids, skip_special_tokens=skip_special_tokens)
        return text


@pytest.mark.parametrize("tokens", [["a"], ["</s>"], ["<0xFF>"], ["<0xC3>", "<0xA9>"], ["▁", "a"]])
def test_detokenizer_work_per_token_is_bounded(tokens: list[str]) -> None:
    counting = _Counting(_llama())
    ids = [counting._tokenizer.token_to_id(token) for token in tokens] * 200
    detokenizer = detokenizers_of(counting)()
    for token_id in ids:
        detokenizer.push([token_id])
    detokenizer.flush()
    assert counting.decoded <= 2 * len(ids) + 10
