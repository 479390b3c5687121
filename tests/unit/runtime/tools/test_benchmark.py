from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from nanoaccel.errors import ConfigError, GenerationError
from nanoaccel.runtime.sampling import SamplingParams
from nanoaccel.runtime.tools.benchmark import BenchmarkResult, BenchmarkTest, measure, plan_tests
from nanoaccel.runtime.types.outputs import (
    Completion,
    FinishReason,
    RequestOutput,
    RequestStats,
    Usage,
)


@dataclass
class TimedLLM:
    """Takes 0.5 s for each prompt token and 0.1 s for each later token of a step."""

    context_length: int = 1000
    replicas: int = 1
    late: float = 0.0
    client: object = None
    reason: FinishReason = "length"
    backend: Any = field(default_factory=lambda: SimpleNamespace(vocab_size=50))
    seen: list[tuple[list[list[int]], SamplingParams]] = field(default_factory=list)

    def generate(
        self, prompts: Sequence[Sequence[int]], params: SamplingParams
    ) -> list[RequestOutput]:
        self.seen.append(([list(ids) for ids in prompts], params))
        assert params.max_tokens is not None
        outputs = []
        for place, ids in enumerate(prompts):
            first = 0.5 * len(ids)
            room = min(params.max_tokens, self.context_length - len(ids))
            total = first + 0.1 * (room - 1) + self.late * place
            error = "it broke" if self.reason == "error" else None
            completion = Completion(
                "",
                (),
                self.reason,
                Usage(len(ids), room),
                RequestStats(0.0, first, total, 0),
                error=error,
            )
            outputs.append(RequestOutput(tuple(ids), (completion,)))
        return outputs


def _measure(llm: TimedLLM, test: BenchmarkTest, repetitions: int = 2) -> BenchmarkResult:
    heard: list[str] = []
    result = measure(llm, test, repetitions=repetitions, listener=heard.append)  # type: ignore[arg-type]
    assert heard[0] == f"{test.name}: warm-up"
    assert heard[1:] == [f"{test.name}: run {n + 1} of {repetitions}" for n in range(repetitions)]
    return result


def test_plan_names_tests_as_llama_bench() -> None:
    names = [test.name for test in plan_tests(512, 128, (1, 4))]
    assert names == ["pp512", "tg128", "tg128 @ 4"]


def test_plan_leaves_out_what_is_zero() -> None:
    assert [test.name for test in plan_tests(0, 8, (2,))] == ["tg8 @ 2"]
    assert [test.name for test in plan_tests(8, 0, (2,))] == ["pp8"]


@pytest.mark.parametrize(
    ("prompt", "generate", "batches"), [(0, 0, (1,)), (0, 8, ()), (-1, 8, (1,)), (8, 8, (0,))]
)
def test_plan_refuses_what_cannot_be_measured(
    prompt: int, generate: int, batches: tuple[int, ...]
) -> None:
    with pytest.raises(ConfigError):
        plan_tests(prompt, generate, batches)


def test_result_has_mean_and_deviation() -> None:
    result = BenchmarkResult(BenchmarkTest("pp", 8), (1.0, 2.0, 3.0))
    assert (result.mean, result.sd) == (2.0, 1.0)
    assert BenchmarkResult(BenchmarkTest("pp", 8), (4.0,)).sd == 0.0


def test_prompt_speed_counts_to_the_first_token() -> None:
    llm = TimedLLM()
    result = _measure(llm, BenchmarkTest("pp", 64))
    assert result.samples == pytest.approx((2.0, 2.0))
    prompts = [prompt for prompts, _ in llm.seen for prompt in prompts]
    assert [len(prompt) for prompt in prompts] == [64, 64, 64]
    assert all(0 <= token < 50 for prompt in prompts for token in prompt)
    assert prompts[1] != prompts[2]
    assert {params.max_tokens for _, params in llm.seen} == {1}


def test_generation_speed_counts_after_the_first_token() -> None:
    llm = TimedLLM()
    result = _measure(llm, BenchmarkTest("tg", 20, 4))
    assert result.samples == pytest.approx((40.0, 40.0))
    assert [len(prompts) for prompts, _ in llm.seen] == [4, 4, 4]
    assert [params.max_tokens for _, params in llm.seen] == [9, 21, 21]
    assert all(params.ignore_eos and params.temperature == 0 for _, params in llm.seen)


def test_measure_draws_the_same_prompts_each_time() -> None:
    first, second = TimedLLM(), TimedLLM()
    _measure(first, BenchmarkTest("pp", 16))
    _measure(second, BenchmarkTest("pp", 16))
    assert first.seen == second.seen


def test_measure_refuses_no_repetitions() -> None:
    with pytest.raises(ConfigError, match="repetitions=0"):
        _measure(TimedLLM(), BenchmarkTest("pp", 8), repetitions=0)


def test_measure_refuses_requests_that_did_not_run_together() -> None:
    with pytest.raises(ConfigError, match="did not run together"):
        _measure(TimedLLM(late=0.1), BenchmarkTest("tg", 8, 2))


def test_generation_speed_of_several_engines_is_from_the_first_token_to_the_last() -> None:
    (speed, *_) = _measure(TimedLLM(late=0.1, replicas=2), BenchmarkTest("tg", 8, 2)).samples
    assert speed == pytest.approx(2 * 8 / 0.9)


def test_measure_refuses_what_does_not_fit() -> None:
    with pytest.raises(ConfigError, match="context of 100"):
        _measure(TimedLLM(context_length=100), BenchmarkTest("tg", 200))


def test_measure_passes_a_failure_on() -> None:
    with pytest.raises(GenerationError, match="it broke"):
        _measure(TimedLLM(reason="error"), BenchmarkTest("pp", 8))
