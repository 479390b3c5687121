from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from nanoaccel.runtime.sampling import SamplingParams
from nanoaccel.runtime.scheduling.endings import end_tokens, stop_reason


def ends(vocab_size: int, **params: Any) -> frozenset[int]:
    tokenizer: Any = SimpleNamespace(eos_token_ids=frozenset({2, 9}))
    return end_tokens(SamplingParams(**params), tokenizer, vocab_size)


def reason(last: int, num_generated: int, found: str | None = None) -> str | int | None:
    text: Any = SimpleNamespace(matched=found is not None, stop_string=found)
    params = SamplingParams(stop_token_ids=(7,), stop=("END",))
    return stop_reason(params, text, last, num_generated)


def test_text_ends_with_the_ends_of_the_model_that_have_a_row() -> None:
    assert ends(10) == {2, 9}
    assert ends(9) == {2}


def test_text_that_ignores_the_ends_of_the_model_ends_with_its_own() -> None:
    assert ends(10, stop_token_ids=(5,)) == {2, 5, 9}
    assert ends(10, stop_token_ids=(5,), ignore_eos=True) == {5}


def test_stop_reason_is_the_string_or_the_token_that_was_asked_for() -> None:
    assert reason(last=7, num_generated=3, found="END") == "END"
    assert reason(last=7, num_generated=3) == 7
    assert reason(last=7, num_generated=1) == 7
    assert reason(last=2, num_generated=3) is None


def test_stop_reason_is_no_token_of_the_prompt() -> None:
    assert reason(last=7, num_generated=0) is None
