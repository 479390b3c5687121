"""How many tokens a text has at least: never more than it has."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import cache

import pytest
import tokenizers  # type: ignore[import-untyped, unused-ignore]
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import (  # type: ignore[import-untyped, unused-ignore]
    AddedToken,
    Regex,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    trainers,
)

from nanoaccel.text import Tokenizer
from nanoaccel.text.chat_templates import ChatTemplates
from nanoaccel.text.token_bound import TokenBound

SENTENCES = ["the cat sat on the mat", "naïve café 你好", "aaaa        b"]
LETTERS = [*"ab \u0301é\x04\u3000你👍\t\n", "<m>"]


@cache
def byte_level() -> tokenizers.Tokenizer:
    backend = tokenizers.Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=290,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(SENTENCES * 2, trainer)
    return backend


@cache
def composed() -> tokenizers.Tokenizer:
    backend = tokenizers.Tokenizer.from_str(byte_level().to_str())
    backend.normalizer = normalizers.NFC()
    return backend


@cache
def greedy() -> tokenizers.Tokenizer:
    backend = tokenizers.Tokenizer.from_str(byte_level().to_str())
    backend.add_special_tokens([AddedToken("<m>", lstrip=True, rstrip=True, special=True)])
    return backend


@cache
def lossy() -> tokenizers.Tokenizer:
    """Knows neither the byte 0x04 nor 0xF0; the first is split off."""
    vocabulary = {"a": 0, "b": 1, "aa": 2, "Ġ": 3, "Ã": 4, "©": 5}
    backend = tokenizers.Tokenizer(models.BPE(vocab=vocabulary, merges=[("a", "a")]))
    parts = [
        pre_tokenizers.ByteLevel(add_prefix_space=False),
        pre_tokenizers.Split(Regex("[Ąb]"), "removed"),
    ]
    backend.pre_tokenizer = pre_tokenizers.Sequence(parts)
    return backend


@cache
def llama() -> tokenizers.Tokenizer:
    words = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", "▁▁", "a", "b", "é"]
    vocabulary = {token: index for index, token in enumerate(words)}
    backend = tokenizers.Tokenizer(
        models.BPE(vocab=vocabulary, merges=[("▁", "▁")], byte_fallback=True, unk_token="<unk>")
    )
    steps = [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    backend.normalizer = normalizers.Sequence(steps)
    backend.add_special_tokens(["<m>"])
    return backend


@pytest.mark.parametrize("make", [byte_level, composed, greedy, lossy, llama])
@settings(deadline=None)
@given(parts=st.lists(st.tuples(st.sampled_from(LETTERS), st.integers(1, 40)), max_size=6))
def test_texts_have_as_many_tokens_at_least(
    make: Callable[[], tokenizers.Tokenizer], parts: list[tuple[str, int]]
) -> None:
    text = "".join(letter * count for letter, count in parts)
    count = len(make().encode(text, add_special_tokens=False).ids)
    assert TokenBound(make()).of(text) <= count


@pytest.mark.parametrize(
    ("make", "text", "least"),
    [
        (byte_level, "a" * 100, 10),
        (byte_level, "\u4f60" * 100, 30),
        (composed, "a" * 100, 10),
        (composed, "a" + "\u0301" * 100, 1),
        (greedy, "a" * 100, 10),
        (greedy, " " * 100, 0),
        (lossy, "a" * 100, 50),
        (lossy, "\x04b\U0001f44d" * 100, 0),
        (llama, "a" * 100, 16),
    ],
)
def test_bound_counts_what_stays(
    make: Callable[[], tokenizers.Tokenizer], text: str, least: int
) -> None:
    found = TokenBound(make()).of(text)
    assert found >= least
    assert (found > 0) == (least > 0)


def test_nothing_is_said_where_tokens_may_stand_for_any_text() -> None:
    backends = [
        tokenizers.Tokenizer(models.WordPiece(vocab={"a": 0, "[UNK]": 1}, unk_token="[UNK]")),
        tokenizers.Tokenizer(models.Unigram([("a", -1.0)])),
        tokenizers.Tokenizer(models.BPE(vocab={"a": 0}, merges=[])),
    ]
    for change in (
        normalizers.Strip(),
        normalizers.NFKC(),
        normalizers.Replace(Regex(" +"), " "),
        normalizers.Replace("aa", "a"),
    ):
        backends.append(tokenizers.Tokenizer.from_str(byte_level().to_str()))
        backends[-1].normalizer = change
    backends.append(tokenizers.Tokenizer.from_str(byte_level().to_str()))
    backends[-1].pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.ByteLevel()]
    )
    assert [TokenBound(backend).of("aaaa" * 100) for backend in backends] == [0] * len(backends)


def test_long_texts_are_encoded_beside_other_threads() -> None:
    tokenizer = Tokenizer(byte_level(), {}, frozenset(), ChatTemplates({}))
    text = "the cat sat on naïve mats. " * 20_000
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.extend(tokenizer.encode(text)))
    thread.start()
    ticks = 0
    while thread.is_alive():
        time.sleep(0.001)
        ticks += 1
    assert ticks > 5
    assert found == byte_level().encode(text).ids
