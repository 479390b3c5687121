"""What cannot be asked for is refused with its name, its value and what is possible."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from nanoaccel import Grammar, SamplingParams
from nanoaccel.errors import SamplingError


@pytest.mark.parametrize(
    ("option", "value", "possible"),
    [
        ("temperature", -0.1, "0"),
        ("top_p", -0.5, "above 0 and at most 1"),
        ("top_p", 1.01, "above 0 and at most 1"),
        ("min_p", 1.5, "1"),
        ("repetition_penalty", 0.0, "from 0.01 to 100 (1: off)"),
        ("repetition_penalty", 101.0, "from 0.01 to 100 (1: off)"),
    ],
)
def test_sampling_params_tell_what_an_option_may_be(
    option: str, value: float, possible: str
) -> None:
    wrong: dict[str, Any] = {option: value}
    with pytest.raises(SamplingError, match=f"^{option}={value}.*{re.escape(possible)}"):
        SamplingParams(**wrong)


@pytest.mark.parametrize(("option", "least"), [("top_p", 0.001), ("repetition_penalty", 0.01)])
def test_sampling_params_take_the_least_that_is_possible(option: str, least: float) -> None:
    wanted: dict[str, Any] = {option: least}
    assert getattr(SamplingParams(**wanted), option) == least


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: Grammar.choice("yes"), "choice"),  # type: ignore[arg-type]
        (lambda: Grammar.choice(5), "choice"),  # type: ignore[arg-type]
        (lambda: Grammar.regex(5), "source"),  # type: ignore[arg-type]
        (lambda: Grammar.lark(None), "source"),  # type: ignore[arg-type]
    ],
)
def test_grammar_of_a_wrong_type_is_refused_by_name(
    make: Callable[[], Grammar], named: str
) -> None:
    with pytest.raises(SamplingError, match=f"^{named}="):
        make()
