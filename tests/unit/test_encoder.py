"""What data sets and judgements see of a tokenizer's files."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.special_tokens import adds_special_tokens

from nanoaccel.errors import SourceError
from nanoaccel.exporters.reference.encoder import ModelEncoder
from nanoaccel.testing.engines import LETTERS, VOCAB_SIZE, letter_tokenizer

BOS, EOS = VOCAB_SIZE - 2, VOCAB_SIZE - 1


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    letter_tokenizer(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("template", "begin"),
    [("$A", []), ("<bos> $A", [BOS]), ("<bos> $A <eos>", [BOS]), ("$A <eos>", [])],
)
def test_begin_ids_are_what_the_tokenizer_puts_before_a_text(
    folder: Path, template: str, begin: list[int]
) -> None:
    adds_special_tokens(folder, template)
    encoder = ModelEncoder(folder)
    assert encoder.begin_ids == begin
    assert encoder.encode("ab") == [0, 1]


def test_encode_knows_special_tokens_in_a_text(folder: Path) -> None:
    assert ModelEncoder(folder).encode("a<eos>b") == [0, EOS, 1]


def test_encode_cuts_and_fills_nothing(folder: Path) -> None:
    import tokenizers

    tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(3)
    tokenizer.enable_padding(length=50)
    tokenizer.save(str(folder / "tokenizer.json"))
    assert ModelEncoder(folder).encode("abcdef") == [0, 1, 2, 3, 4, 5]


def test_vocabulary_has_added_tokens(folder: Path) -> None:
    found = ModelEncoder(folder).vocabulary()
    assert (found["b"], found["<eos>"], len(found)) == (1, EOS, len(LETTERS) + 2)


@pytest.mark.parametrize("content", [None, "", "{}"])
def test_a_folder_without_a_tokenizer_is_refused(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(SourceError, match=r"tokenizer.json is no tokenizer that can be read"):
        ModelEncoder(tmp_path)
