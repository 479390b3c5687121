"""What every logits processor promises: it touches its row alone, and its requests do not meet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nanoaccel.registry import LOGITS_PROCESSORS
from nanoaccel.registry.extension_point import check
from nanoaccel.runtime.sampling.plugged import ProcessorFactory, ProcessorOptions
from nanoaccel.runtime.sampling.processors import LogitsProcessor
from nanoaccel.runtime.types.plan import Float32Array
from nanoaccel.testing.drafters import Always, Guesser, random_tokens
from nanoaccel.testing.engines import EOS, VOCAB_SIZE, Bench, letter_tokenizer

CONTRACT = "logits_processor"
_PROMPT = (3, 4, 5, 3, 4)
_SEEDS = range(3)


def make(subject: ProcessorFactory, values: dict[str, Any]) -> LogitsProcessor:
    """A processor of a request with the prompt of these tests."""
    options = ProcessorOptions(
        values=values, prompt_ids=_PROMPT, end_ids=(EOS,), vocab_size=VOCAB_SIZE
    )
    return subject(options)


def run(processor: LogitsProcessor, seed: int, steps: int = 30) -> list[Float32Array]:
    """The rows that a processor makes of random ones, each followed by its likeliest token.

    Args:
        processor: What is asked.
        seed: Seed of the rows.
        steps: Number of rows.
    """
    random = np.random.default_rng(seed)
    rows = []
    for position in range(steps):
        row = random.normal(0, 3, VOCAB_SIZE).astype(np.float32)
        processor.apply(row, position)
        rows.append(row.copy())
        processor.accept(int(row.argmax()))
    return rows


def same(left: list[Float32Array], right: list[Float32Array]) -> bool:
    """Whether rows are the same bits."""
    return all(np.array_equal(one, other) for one, other in zip(left, right, strict=True))


class TestLogitsProcessor:
    """The suite; ``subject`` makes a processor of ``ProcessorOptions``."""

    def test_it_has_what_the_interface_says(
        self, subject: ProcessorFactory, nanoaccel_values: dict[str, Any]
    ) -> None:
        assert LOGITS_PROCESSORS.makes is not None
        check(subject, LOGITS_PROCESSORS.interface, ())
        check(make(subject, nanoaccel_values), LOGITS_PROCESSORS.makes, ())

    @pytest.mark.parametrize("seed", _SEEDS)
    def test_rows_stay_numbers_of_which_one_can_be_chosen(
        self, subject: ProcessorFactory, nanoaccel_values: dict[str, Any], seed: int
    ) -> None:
        for row in run(make(subject, nanoaccel_values), seed):
            assert not np.isnan(row).any()
            assert np.isfinite(row.max()), "every token is forbidden, or one is infinitely likely"

    @pytest.mark.parametrize("seed", _SEEDS)
    def test_rows_are_the_same_again(
        self, subject: ProcessorFactory, nanoaccel_values: dict[str, Any], seed: int
    ) -> None:
        first = run(make(subject, nanoaccel_values), seed)
        assert same(run(make(subject, nanoaccel_values), seed), first), "requests share a state"

    def test_two_requests_know_nothing_of_each_other(
        self, subject: ProcessorFactory, nanoaccel_values: dict[str, Any]
    ) -> None:
        expected = run(make(subject, nanoaccel_values), 1)
        mine, busy = make(subject, nanoaccel_values), make(subject, nanoaccel_values)
        run(busy, 2)
        assert same(run(mine, 1), expected)

    def test_apply_alone_changes_no_state(
        self, subject: ProcessorFactory, nanoaccel_values: dict[str, Any]
    ) -> None:
        once, often = make(subject, nanoaccel_values), make(subject, nanoaccel_values)
        for token in (7, 7, 8):
            for _ in range(3):
                often.apply(np.zeros(VOCAB_SIZE, np.float32), 0)
            once.accept(token)
            often.accept(token)
        assert same(run(often, 4), run(once, 4))

    def test_copy_has_the_state_and_goes_its_own_way(
        self, subject: ProcessorFactory, nanoaccel_values: dict[str, Any]
    ) -> None:
        original, unshared = make(subject, nanoaccel_values), make(subject, nanoaccel_values)
        run(original, 5, 10)
        run(unshared, 5, 10)
        twin = original.copy()
        expected = run(unshared, 6)
        run(twin, 7)
        assert same(run(original, 6), expected), "what a copy accepts reaches the original"
        third, fourth = make(subject, nanoaccel_values), make(subject, nanoaccel_values)
        run(third, 5, 10)
        run(fourth, 5, 10)
        assert same(run(third.copy(), 6), run(fourth, 6)), "a copy does not have the state"

    def test_text_is_the_same_in_any_company_and_with_drafts(
        self,
        subject: ProcessorFactory,
        nanoaccel_values: dict[str, Any],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(LOGITS_PROCESSORS, "resolve", lambda _: subject)
        tokenizer = letter_tokenizer(tmp_path)
        prompts = [tokenizer.encode(text) for text in ("abcabcab", "tide", "a")]

        def write(*chosen: int, drafts: bool = False) -> list[tuple[int, ...]]:
            drafters = [Guesser(random_tokens(VOCAB_SIZE, 0))] if drafts else []
            bench = Bench(tokenizer, drafters=drafters, controller=Always())
            ways = {"temperature": 0.7, "seed": 1, "max_tokens": 25}
            requests = [
                bench.submit(prompts[number], processors={CONTRACT: nanoaccel_values}, **ways)
                for number in chosen
            ]
            bench.run()
            results = [bench.result(request) for request in requests]
            assert all(result.finish_reason in ("stop", "length") for result in results), results
            return [result.token_ids for result in results]

        alone = [write(number)[0] for number in range(3)]
        assert write(0, 1, 2) == alone
        assert write(0, 1, 2, drafts=True) == alone
