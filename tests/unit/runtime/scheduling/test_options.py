from __future__ import annotations

from typing import Any

import pytest

from nanoaccel.errors import ConfigError
from nanoaccel.runtime.scheduling.options import RequestOptions


@pytest.mark.parametrize("speculation", ["auto", "off", "ngram"])
def test_request_options_take_any_drafter_by_its_name(speculation: str) -> None:
    assert RequestOptions(speculation=speculation).speculation == speculation


@pytest.mark.parametrize(("typed", "meant"), [("Ngram", "ngram"), ("of", "off"), ("aut", "auto")])
def test_request_options_tell_the_drafter_that_was_meant(typed: str, meant: str) -> None:
    with pytest.raises(ConfigError, match=rf"speculation='{typed}' is unknown.*{meant}"):
        RequestOptions(speculation=typed)


def test_request_options_take_any_timeout_above_zero() -> None:
    assert RequestOptions(timeout=0.001).timeout == 0.001
    for timeout in (0.0, -1.0, float("nan")):
        with pytest.raises(ConfigError, match=r"timeout=.* is out of range"):
            RequestOptions(timeout=timeout)


@pytest.mark.parametrize(
    "wrong",
    [
        {"priority": "high"},
        {"timeout": "soon"},
        {"cache_eviction": 512},
        {"speculation": 1},
        {"chat": {"tools": []}},
        {"adapter": 3},
        {"progress": "yes"},
    ],
)
def test_request_options_refuse_a_value_of_the_wrong_type_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"^{next(iter(wrong))}="):
        RequestOptions(**wrong)
