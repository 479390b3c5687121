"""Rows become examples; what is too long, broken, or there twice is counted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.training_data import letters, tokenizer_with, write_lines

from nanoaccel.errors import ConfigError, SourceError
from nanoaccel.finetune.data.encode import Encoder, Example
from nanoaccel.finetune.data.prepare import DataOptions, hold_out, prepare
from nanoaccel.finetune.data.records import Completion, PlainText, Problem, Row
from nanoaccel.testing.tiny_models import CHAT_TEMPLATE
from nanoaccel.text import Tokenizer

pytestmark = pytest.mark.export


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return tokenizer_with(tmp_path_factory.mktemp("chat"), CHAT_TEMPLATE)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return tokenizer_with(tmp_path_factory.mktemp("plain"), None)


def learned(tokenizer: Tokenizer, example: Example) -> str:
    return tokenizer.decode(example.ids[example.taught].tolist(), skip_special_tokens=False)


def test_a_prompt_goes_through_the_template(tokenizer: Tokenizer) -> None:
    row = Row("here", Completion("The tide", " comes in"))
    (example,) = Encoder(tokenizer, 100).encode(row)  # type: ignore[misc]
    assert learned(tokenizer, example) == " comes in<|im_end|>"
    asked = tokenizer.encode_chat([{"role": "user", "content": "The tide"}])
    assert example.ids[: example.answer_begin].tolist() == asked


@pytest.mark.parametrize("raw", [True, False])
def test_a_raw_prompt_is_continued(tokenizer: Tokenizer, plain: Tokenizer, raw: bool) -> None:
    encoder = Encoder(tokenizer if raw else plain, 100, raw)
    (example,) = encoder.encode(Row("here", Completion("The tide", " comes in")))  # type: ignore[misc]
    whole = tokenizer.decode(example.ids.tolist(), skip_special_tokens=False)
    assert whole == "The tide comes in<|im_end|>"
    assert learned(tokenizer, example) == " comes in<|im_end|>"


def test_a_text_is_learned_whole_in_pieces(plain: Tokenizer) -> None:
    found = Encoder(plain, 8).encode(Row("here", PlainText("The keeper writes it down. " * 5)))
    assert not isinstance(found, Problem)
    assert all(example.taught.all() and len(example) <= 8 for example in found)
    ids = np.concatenate([example.ids for example in found])
    assert plain.decode(ids.tolist()) == "The keeper writes it down. " * 5
    assert ids[-1] in plain.eos_token_ids


def test_messages_need_a_template(tmp_path: Path, plain: Tokenizer) -> None:
    messages = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    path = write_lines(tmp_path / "d.jsonl", [{"messages": messages}])
    with pytest.raises(SourceError, match="line 1 has messages, and the model has no chat"):
        prepare(str(path), plain, DataOptions(max_length=50))


def test_long_examples_are_cut_dropped_or_refused(tmp_path: Path, tokenizer: Tokenizer) -> None:
    rows = [{"prompt": "a", "completion": "b" * 90}, {"prompt": "c" * 90, "completion": "d"}]
    path = str(write_lines(tmp_path / "d.jsonl", [*rows, {"prompt": "e", "completion": "f"}]))

    def read(long: str) -> tuple[list[int], int, int]:
        options = DataOptions(max_length=40, long=long, validation_share=0)  # type: ignore[arg-type]
        found = prepare(path, tokenizer, options)
        return [len(one) for one in found.train], found.counts.long, found.counts.dropped

    lengths, long, dropped = read("cut")
    assert (max(lengths), len(lengths), long, dropped) == (40, 2, 2, 1)  # nothing left to learn
    lengths, long, dropped = read("drop")
    assert (len(lengths), long, dropped) == (1, 2, 2)
    with pytest.raises(ConfigError, match="2 examples are longer than 40 tokens"):
        read("refuse")


def test_broken_rows_are_refused_by_line_or_left_out(tmp_path: Path, tokenizer: Tokenizer) -> None:
    rows = [{"prompt": "a", "completion": ""}, {"prompt": "a", "completion": "b"}, 3]
    path = str(write_lines(tmp_path / "d.jsonl", rows))
    with pytest.raises(SourceError) as caught:
        prepare(path, tokenizer, DataOptions(max_length=40))
    assert "2 of 3 rows cannot be learned" in str(caught.value)
    assert "line 1 has an empty answer" in str(caught.value)
    assert "line 3 is of type int" in str(caught.value)
    options = DataOptions(max_length=40, skip_broken=True)
    found = prepare(path, tokenizer, options)
    assert len(found.train) == 1
    assert found.warnings == ("2 rows are broken and were left out",)


def test_what_is_judged_and_learned_is_warned_of(tmp_path: Path, tokenizer: Tokenizer) -> None:
    train = write_lines(tmp_path / "train.jsonl", [*letters(10), letters(1)[0]])
    held = write_lines(tmp_path / "held.jsonl", [letters(3)[2], {"prompt": "x", "completion": "y"}])
    options = DataOptions(max_length=60, validation=str(held))
    found = prepare(str(train), tokenizer, options)
    assert found.warnings == (
        "1 examples of the training set stand there more than once",
        "1 of 2 validation examples stand in the training set too",
    )


@given(
    items=st.lists(st.integers(0, 20), min_size=1, max_size=60),
    share=st.floats(0, 0.9),
    seed=st.integers(0, 5),
)
def test_hold_out_keeps_all_and_parts_nothing_that_is_the_same(
    items: list[int], share: float, seed: int
) -> None:
    rest, held = hold_out(items, share, seed, lambda item: item)
    assert sorted(rest + held) == sorted(items)
    assert not {*rest} & {*held}
    assert rest
    assert (rest, held) == hold_out(items, share, seed, lambda item: item)
    if share > 0 and len({*items}) > 1:
        assert held


def test_options_are_checked() -> None:
    for wrong in ({"max_length": 1}, {"long": "bend"}, {"validation_share": 1.0}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            DataOptions(**wrong)  # type: ignore[arg-type]
