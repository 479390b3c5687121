from __future__ import annotations

import pytest

from nanoaccel.cli.ui.speed import speed_line, tokens_per_second
from nanoaccel.cli.ui.writing import check_completions
from nanoaccel.errors import GenerationError
from nanoaccel.runtime.types.outputs import Completion, FinishReason, RequestStats, Usage


def _completion(
    tokens: int,
    first: float | None,
    total: float,
    reason: FinishReason = "stop",
    *,
    cached: int = 0,
) -> Completion:
    stats = RequestStats(0.0, first, total, 0, cached)
    error = "it broke" if reason == "error" else None
    return Completion("", (), reason, Usage(3, tokens), stats, error=error)


def test_speed_is_that_of_the_stats_for_one_completion() -> None:
    completion = _completion(11, 0.5, 2.5)
    assert tokens_per_second((completion,)) == completion.stats.decode_tokens_per_second(11) == 5.0


def test_speed_adds_completions_that_ran_together() -> None:
    assert tokens_per_second((_completion(11, 0.5, 2.5), _completion(11, 0.5, 2.5))) == 10.0


@pytest.mark.parametrize(
    "completion", [_completion(0, None, 1.0), _completion(1, 0.5, 0.5), _completion(3, 0.5, 0.5)]
)
def test_speed_is_unknown_without_decoding(completion: Completion) -> None:
    assert tokens_per_second((completion,)) is None


def test_speed_line_tells_tokens_speed_and_first_token() -> None:
    assert speed_line((_completion(11, 0.5, 2.5),)) == (
        "11 tokens, 5.0 tokens/s, first token after 0.50 s"
    )
    assert speed_line((_completion(0, None, 1.0),)) == "0 tokens"
    assert speed_line((_completion(11, 0.5, 2.5, cached=2),)) == (
        "11 tokens, 5.0 tokens/s, first token after 0.50 s, 2 of 3 prompt tokens from the cache"
    )
    assert speed_line((_completion(1, 0.25, 0.25, "length"),)) == (
        "1 token, first token after 0.25 s, stopped by --max-tokens or the end of the context"
    )


def test_check_completions_raises_what_failed() -> None:
    check_completions((_completion(1, 0.1, 0.1),))
    with pytest.raises(GenerationError, match="it broke"):
        check_completions((_completion(1, 0.1, 0.1), _completion(1, 0.1, 0.1, "error")))


def test_speed_line_tells_tokens_a_step_where_guesses_were_right() -> None:
    stats = RequestStats(0.0, 0.5, 2.5, 0, steps=4, drafted_tokens=9, accepted_tokens=6)
    completion = Completion("", (), "stop", Usage(3, 10), stats)
    assert "4.5 tokens/s, 2.5 a step, first token" in speed_line((completion,))
    assert "a step" not in speed_line((_completion(10, 0.5, 2.5),))
