from __future__ import annotations

from pathlib import Path

import numpy as np

from nanoaccel.finetune.drafts.corpus import Text
from nanoaccel.finetune.drafts.training_examples import (
    ExampleFolder,
    TrainingExample,
    choose_vocabulary,
)
from nanoaccel.runtime.backends.fake import FakeBackend, hashed
from nanoaccel.testing.engines import VOCAB_SIZE

TEXTS = [Text([1, 2, 3], [4, 5, 6, 7]), Text([8], [9, 10]), Text([3, 2], [1, 2, 3, 4, 5, 6, 7])]
VOCABULARY = [1, 2, 4, 5, 6, 9]
LIKELIEST = 4


def folder_of(path: Path, width: int) -> ExampleFolder:
    return ExampleFolder(path, width, len(VOCABULARY), likeliest=LIKELIEST, chunk=3)


def written(folder: Path, texts: list[Text]) -> list[TrainingExample]:
    backend = FakeBackend(hashed(VOCAB_SIZE), VOCAB_SIZE, hidden_states=True)
    backend.allocate_cache(8)
    examples = folder_of(folder, width=2)
    told: list[int] = []
    examples.write(texts, backend, vocabulary=VOCABULARY, num_layers=1, progress=told.append)
    assert told == sorted(told)
    return list(examples)


def test_examples_hold_what_the_target_computed(tmp_path: Path) -> None:
    rule = hashed(VOCAB_SIZE)
    for text, example in zip(TEXTS, written(tmp_path, TEXTS), strict=True):
        ids = text.prompt + text.answer
        known = [VOCABULARY.index(i) if i in VOCABULARY else len(VOCABULARY) for i in ids]
        assert example.tokens.tolist() == known
        taught = [len(text.prompt) - 1 <= place < len(ids) - 1 for place in range(len(ids))]
        assert example.taught.tolist() == taught
        for place in np.flatnonzero(taught):
            logits = rule(ids[: place + 1]).astype(float)
            chances = np.exp(logits) / np.exp(logits).sum()
            best = sorted(VOCABULARY, key=lambda token: -chances[token])[:LIKELIEST]
            assert [VOCABULARY[row] for row in example.likeliest[place]] == best
            np.testing.assert_allclose(example.chances[place], chances[best], rtol=2e-3)


def test_examples_scale_features_to_a_mean_square_of_one(tmp_path: Path) -> None:
    (example, *_) = written(tmp_path, TEXTS)
    states = np.array([(token, place) for place, token in enumerate([1, 2, 3, 4, 5, 6, 7])], float)
    scaled = states / np.sqrt((states**2).mean(-1, keepdims=True))
    np.testing.assert_allclose(example.features, scaled, rtol=2e-3)


def test_examples_go_on_where_they_were_stopped(tmp_path: Path) -> None:
    whole = written(tmp_path / "whole", TEXTS)
    written(tmp_path / "stopped", TEXTS[:1])
    with (tmp_path / "stopped" / "tokens").open("ab") as file:
        file.write(b"half a example")
    for one, other in zip(whole, written(tmp_path / "stopped", TEXTS), strict=True):
        for name in ("tokens", "features", "likeliest", "chances", "taught"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_examples_of_a_draft_without_features_need_none(tmp_path: Path) -> None:
    backend = FakeBackend(hashed(VOCAB_SIZE), VOCAB_SIZE)
    backend.allocate_cache(8)
    examples = folder_of(tmp_path, width=0)
    examples.write(TEXTS, backend, vocabulary=VOCABULARY, num_layers=0, progress=lambda _: None)
    assert [example.features.shape for example in examples] == [(7, 0), (3, 0), (9, 0)]


def test_choose_vocabulary_takes_the_most_frequent_and_fills_up() -> None:
    assert choose_vocabulary(TEXTS, 3, 20) == [4, 5, 6]
    assert choose_vocabulary(TEXTS, 12, 20) == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]
    assert choose_vocabulary(TEXTS, 100, 20) == list(range(20))
