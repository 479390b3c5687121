"""The text of a request: stop strings see the special tokens that nobody else sees."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import pytest
import tokenizers  # type: ignore[import-untyped, unused-ignore]
from tokenizers import decoders, models, pre_tokenizers  # type: ignore[import-untyped, unused-ignore]

from nanoaccel.text import OutputText
from nanoaccel.text.detokenizer import detokenizers_of

END = "<|end|>"


@cache
def _backend() -> tokenizers.Tokenizer:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = tokenizers.Tokenizer(
        models.BPE(vocab={char: place for place, char in enumerate(alphabet)}, merges=[])
    )
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([END])
    return backend


def _run(text: str, stops: Sequence[str], may_stop_from: int = 0) -> tuple[list[str], bool]:
    """The pieces that each token and the end show, and whether a stop string ended it."""
    backend = _backend()

    def hidden(token_id: int) -> str:
        return END if backend.id_to_token(token_id) == END else ""

    output = OutputText(detokenizers_of(backend)(), stops, hidden)
    pieces = []
    for place, token_id in enumerate(backend.encode(text).ids):
        pieces.append(output.push(token_id, may_stop=place >= may_stop_from))
        if output.matched:
            return pieces, True
    pieces.append(output.finish())
    return pieces, output.matched


@pytest.mark.parametrize(
    ("text", "stops", "shown", "matched"),
    [
        (f"ab{END}cd", [], "abcd", False),
        (f"ab{END}cd", [END], "ab", True),
        (f"ab{END}cd", [f"b{END}c"], "a", True),
        (f"ab{END}cd", ["bc"], "a", True),
        (f"ab{END}cd", [f"b{END}x"], "abcd", False),
        (f"ab{END}{END}cd", [f"{END}{END}c"], "ab", True),
        (f"{END}ab", [END], "", True),
        (f"a€{END}b", [f"€{END}"], "a", True),
        (f"ab{END}", [f"{END}x", "zz"], "ab", False),
        ("abcd", ["bc", "c"], "a", True),
        (f"ab{END}", ["bx", END], "ab", True),
        (f"a{END}bc", [f"{END}bcd", "b"], "a", True),
    ],
)
def test_output_text_ends_at_stop_strings(
    text: str, stops: list[str], shown: str, matched: bool
) -> None:
    pieces, found = _run(text, stops)
    assert ("".join(pieces), found) == (shown, matched)


def test_output_text_holds_back_no_more_than_it_must() -> None:
    pieces, _ = _run(f"ab{END}cd", [f"b{END}x"])
    assert pieces == ["a", "", "", "bc", "d", ""]


def test_output_text_lets_all_pass_before_it_may_stop() -> None:
    assert _run(f"a{END}b{END}c", [END], may_stop_from=2) == (["a", "", "b", ""], True)


def test_output_text_of_an_incomplete_character_before_a_hidden_stop() -> None:
    backend = _backend()
    ids = [*backend.encode("a€").ids[:-1], backend.token_to_id(END)]
    output = OutputText(detokenizers_of(backend)(), [END], lambda i: END if i == ids[-1] else "")
    pieces = [output.push(token_id, may_stop=True) for token_id in ids]
    assert output.matched
    assert "".join(pieces) + output.finish() == "a\ufffd"
