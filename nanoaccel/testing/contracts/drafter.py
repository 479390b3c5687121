"""What every drafter promises: its requests do not meet, and no text changes for it."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from nanoaccel.bundle import Bundle
from nanoaccel.registry import DRAFTERS
from nanoaccel.registry.extension_point import check
from nanoaccel.runtime.speculation.drafters import (
    Draft,
    Drafter,
    DrafterContext,
    DrafterFactory,
    DrafterOptions,
    StateReader,
)
from nanoaccel.testing.drafters import Always
from nanoaccel.testing.engines import Bench, letter_tokenizer, write_letters

CONTRACT = "drafter"
TEXT = (7, 8, 9, 10, 7, 8, 9, 10, 7, 8)
_ROUNDS = 60


def propose(
    drafter: Drafter, texts: Mapping[int, Sequence[int]], limit: int = 4
) -> dict[int, Draft]:
    """Drafts for several requests, whose states a drafter that reads them is shown.

    Args:
        drafter: What is asked.
        texts: Tokens by the number of a request.
        limit: Tokens of a draft at most.
    """
    drafts = {
        number: Draft(number, np.array(text, np.int64), limit, lambda _: 0.9, (0.0,))
        for number, text in texts.items()
    }
    if isinstance(drafter, StateReader):
        for number, text in texts.items():
            states = np.random.default_rng(number).standard_normal((len(text) - 1, 2 * 64))
            drafter.observe(number, 0, states.astype(np.float32))
    drafter.propose(list(drafts.values()))
    return drafts


def drafted(
    drafter: Drafter, texts: Mapping[int, Sequence[int]], limit: int = 4
) -> dict[int, list[int]]:
    """The tokens of ``propose``."""
    return {number: draft.proposed for number, draft in propose(drafter, texts, limit).items()}


def random_texts(options: DrafterOptions, count: int) -> list[list[int]]:
    """Texts of few different tokens, so that they repeat themselves; the vocabulary's ends too."""
    random = np.random.default_rng(count)
    alphabet = [0, 1, 2, options.vocab_size - 2, options.vocab_size - 1]
    return [random.choice(alphabet, random.integers(1, 40)).tolist() for _ in range(count)]


class TestDrafter:
    """The suite; ``subject`` makes a drafter of ``DrafterOptions``.

    A module that imports it may override ``nanoaccel_drafter_options``.
    """

    @pytest.fixture
    def drafter(
        self, subject: DrafterFactory, nanoaccel_drafter_options: DrafterOptions
    ) -> Iterator[Drafter]:
        """One that knows no request yet."""
        made = subject(nanoaccel_drafter_options)
        yield made
        made.close()

    @pytest.fixture
    def other(
        self, subject: DrafterFactory, nanoaccel_drafter_options: DrafterOptions
    ) -> Iterator[Drafter]:
        """Another one like it."""
        made = subject(nanoaccel_drafter_options)
        yield made
        made.close()

    def test_it_has_what_the_interface_says(
        self, subject: DrafterFactory, drafter: Drafter
    ) -> None:
        assert DRAFTERS.makes is not None
        check(subject, DRAFTERS.interface, DRAFTERS.capabilities)
        check(drafter, DRAFTERS.makes, ())
        assert isinstance(drafter.name, str)
        assert isinstance(drafter.is_free, bool)
        assert drafter.priors
        assert all(0 < prior < 1 for prior in drafter.priors)

    def test_it_says_whether_it_applies(self, subject: DrafterFactory, tmp_path: Path) -> None:
        context = DrafterContext(target=Bundle.open(write_letters(tmp_path)), draft=None)
        if hasattr(subject, "applies"):
            assert isinstance(subject.applies(context), bool)
        if hasattr(subject, "hidden_layers"):
            layers = subject.hidden_layers(context)
            assert isinstance(layers, tuple)
            assert all(isinstance(layer, int) and layer >= 0 for layer in layers)

    def test_it_drafts_tokens_of_the_model_with_known_confidence(
        self, drafter: Drafter, nanoaccel_drafter_options: DrafterOptions
    ) -> None:
        for number, text in enumerate(random_texts(nanoaccel_drafter_options, _ROUNDS)):
            (draft,) = propose(drafter, {number: text}).values()
            assert len(draft.proposed) <= draft.limit
            assert all(type(token) is int for token in draft.proposed)
            assert all(
                0 <= token < nanoaccel_drafter_options.vocab_size for token in draft.proposed
            )
            assert all(0 <= bucket < len(drafter.priors) for bucket in draft.buckets)
            drafter.finish(number, np.array(text), 1)

    def test_it_drafts_for_one_request_what_it_drafts_for_many(self, drafter: Drafter) -> None:
        together = drafted(drafter, {1: TEXT, 2: TEXT[1:9], 3: TEXT[:3]})
        for number in together:
            drafter.finish(number, np.array(TEXT), 2)
        for number, text in ((3, TEXT[:3]), (1, TEXT), (2, TEXT[1:9])):
            assert drafted(drafter, {number: text}) == {number: together[number]}
            drafter.finish(number, np.array(text), 2)

    def test_a_request_leaves_nothing_to_the_next(
        self, drafter: Drafter, other: Drafter, nanoaccel_drafter_options: DrafterOptions
    ) -> None:
        for text in random_texts(nanoaccel_drafter_options, 20):
            drafted(drafter, {5: text})
            drafter.finish(5, np.array(text), 1)
            assert drafted(drafter, {5: TEXT}) == drafted(other, {5: TEXT})
            drafter.finish(5, np.array(TEXT), 1)
            other.finish(5, np.array(TEXT), 1)

    def test_two_drafters_know_nothing_of_each_other(
        self, subject: DrafterFactory, drafter: Drafter, nanoaccel_drafter_options: DrafterOptions
    ) -> None:
        expected = drafted(drafter, {1: TEXT[:6]})
        drafter.finish(1, np.array(TEXT[:6]), 1)
        for number, text in enumerate(random_texts(nanoaccel_drafter_options, 20)):
            drafted(drafter, {number: text})
        fresh = subject(nanoaccel_drafter_options)
        assert drafted(fresh, {1: TEXT[:6]}) == expected
        fresh.close()

    def test_a_text_that_grows_is_followed(
        self, drafter: Drafter, other: Drafter, nanoaccel_drafter_options: DrafterOptions
    ) -> None:
        whole = [token for text in random_texts(nanoaccel_drafter_options, 5) for token in text]
        if isinstance(drafter, StateReader):
            pytest.skip("its drafts depend on the states that it was shown")
        for end in range(1, len(whole), 3):
            grown = drafted(drafter, {1: whole[:end]})
        other.finish(1, np.array([1]), 1)
        assert drafted(other, {1: whole[:end]}) == grown

    def test_it_keeps_no_view_of_the_tokens(self, drafter: Drafter, other: Drafter) -> None:
        buffer = np.array(TEXT, np.int64)
        for end in (6, 8, 10):
            buffer[:] = TEXT
            draft = Draft(1, buffer[:end], 4, lambda _: 0.9, (0.0,))
            if isinstance(drafter, StateReader):
                pytest.skip("it is shown states for the tokens that it is asked about")
            drafter.propose([draft])
            buffer[:] = 0
            assert draft.proposed == drafted(other, {1: TEXT[:end]})[1]

    def test_it_forgets_requests_that_have_ended(
        self, drafter: Drafter, nanoaccel_drafter_options: DrafterOptions
    ) -> None:
        sizes = []
        for turn in range(2):
            for number, text in enumerate(
                random_texts(nanoaccel_drafter_options, 100), start=100 * turn
            ):
                drafted(drafter, {number: text})
                drafter.finish(number, np.array(text), 1)
            sizes.append(_items_of(drafter))
        assert sizes[1] <= sizes[0] + 10, "it holds more the more requests have ended"

    def test_it_forgets_what_it_never_saw_and_closes_twice(self, drafter: Drafter) -> None:
        drafter.finish(99, np.array(TEXT), 2)
        drafter.close()
        drafter.close()

    def test_it_leaves_every_text_as_it_is(
        self, subject: DrafterFactory, nanoaccel_drafter_options: DrafterOptions, tmp_path: Path
    ) -> None:
        if nanoaccel_drafter_options.draft is not None:
            pytest.skip("it drafts for the model that its draft was made for")
        tokenizer = letter_tokenizer(tmp_path)
        prompts = [tokenizer.encode(text) for text in ("abcabcab", "tide", "a", "zzzzz")]
        heats = (0.0, 0.8, 0.0, 0.5)
        texts = []
        for drafters in ([], [subject(nanoaccel_drafter_options)]):
            bench = Bench(tokenizer, drafters=drafters, controller=Always(), hidden_states=True)
            requests = [
                bench.submit(prompt, max_tokens=30, ignore_eos=True, temperature=heat, seed=3)
                for prompt, heat in zip(prompts, heats, strict=True)
            ]
            bench.run()
            texts.append([bench.result(request).token_ids for request in requests])
            assert len(bench.speculator._states) == len(drafters), "it failed and was switched off"
        assert texts[0] == texts[1]


def _items_of(drafter: object) -> int:
    """Items in all lists, dicts and sets that a drafter holds."""
    seen: set[int] = set()
    found, left = 0, [vars(drafter)] if hasattr(drafter, "__dict__") else [drafter]
    while left:
        value = left.pop()
        if id(value) in seen or isinstance(value, type):
            continue
        seen.add(id(value))
        if isinstance(value, (dict, list, set)):
            found += len(value)
        module = type(value).__module__
        if isinstance(value, (dict, list, set, tuple)) or not module.startswith(("builtins", "_")):
            left += [
                part
                for part in gc.get_referents(value)
                if not callable(part) and type(part).__name__ != "module"
            ]
    return found
