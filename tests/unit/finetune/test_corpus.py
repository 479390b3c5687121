from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.fake_llms import write_bundle

from nanoaccel import registry
from nanoaccel.errors import ConfigError
from nanoaccel.finetune.drafts.corpus import read_corpus, split_text, write_corpus
from nanoaccel.runtime.backends.fake import FakeBackend, hashed
from nanoaccel.runtime.llm import LLM
from nanoaccel.testing.engines import VOCAB_SIZE


@pytest.fixture
def llm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LLM]:
    """A chat model of letters that writes at random."""

    def load(_: object) -> FakeBackend:
        return FakeBackend(hashed(VOCAB_SIZE, 1.0), VOCAB_SIZE)

    monkeypatch.setattr(registry.BACKENDS, "resolve", lambda _: load)
    bundle = write_bundle(tmp_path / "bundle")
    (bundle / "config.json").write_text('{"max_position_embeddings": 4096}')
    with LLM(bundle, speculation="off") as opened:
        yield opened


def write(llm: LLM, file: Path, num_tokens: int) -> list[int]:
    """Write a corpus; what the progress was told."""
    told: list[int] = []
    write_corpus(
        llm,
        file,
        num_tokens=num_tokens,
        seed=1,
        progress=told.append,
        group_size=6,
        answer_tokens=20,
    )
    return told


def test_write_corpus_asks_until_there_are_enough_tokens(llm: LLM, tmp_path: Path) -> None:
    file = tmp_path / "corpus.jsonl"
    told = write(llm, file, 150)
    texts = list(read_corpus(file))
    assert told[0] == 0
    assert told[-1] == sum(len(text.answer) for text in texts) >= 150
    assert told[-2] < 150
    assert all(0 < len(text.answer) <= 20 for text in texts)


def test_write_corpus_asks_nothing_twice(llm: LLM, tmp_path: Path) -> None:
    file = tmp_path / "corpus.jsonl"
    write(llm, file, 400)
    prompts = [tuple(text.prompt) for text in read_corpus(file)]
    assert len(set(prompts)) == len(prompts)


def test_write_corpus_goes_on_where_it_was_stopped(llm: LLM, tmp_path: Path) -> None:
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    write(llm, whole, 300)
    lines = whole.read_text().splitlines(keepends=True)
    stopped.write_text("".join(lines[:6]) + lines[6][:7])
    assert write(llm, stopped, 300)[0] > 0
    assert stopped.read_text() == whole.read_text()


def test_split_text_makes_pieces_without_prompts(llm: LLM, tmp_path: Path) -> None:
    file = tmp_path / "corpus.jsonl"
    text = "the tide comes in twice a day.\n" * 40
    split_text(llm, text, file)
    pieces = [text.prompt + text.answer for text in read_corpus(file)]
    assert [token for piece in pieces for token in piece] == llm.tokenizer.encode(text)
    assert [len(piece) for piece in pieces] == [512, 512, 216]


def test_split_text_refuses_a_text_that_is_too_short(llm: LLM, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the text has 5 tokens"):
        split_text(llm, "short", tmp_path / "corpus.jsonl")
