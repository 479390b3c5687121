from __future__ import annotations

import pytest

from nanoaccel.cli.ui.fidelity_text import nats, percent, validation_lines


@pytest.mark.parametrize(
    ("value", "text"),
    [(3.7, "3.700"), (0.0512345, "0.051"), (0.0012345, "0.0012"), (3.2e-9, "3.2e-09"), (0.0, "0")],
)
def test_nats_are_rounded_to_what_they_say(value: float, text: str) -> None:
    assert nats(value) == text


def test_percent_shows_an_error_where_there_is_one() -> None:
    assert percent(0.97123) == "97.1%"
    assert percent(0.97123, 0.00214) == "97.1% ± 0.2%"


def test_validation_lines_name_values_in_words_with_their_errors() -> None:
    found = {
        "text": "a text",
        "tokens": 16384,
        "kl": 0.0123456,
        "kl_error": 0.0004567,
        "top1_agreement": 0.97123,
        "top1_error": 0.00214,
        "perplexity": 29.61234,
        "perplexity_error": 0.51234,
        "later": 3,
    }
    assert validation_lines(found) == [
        "text a text",
        "tokens compared 16,384",
        "KL to the original 0.012 ± 0.0005 nats a token",
        "same likeliest token 97.1% ± 0.2%",
        "perplexity 29.61 ± 0.5123",
        "later 3",
    ]
