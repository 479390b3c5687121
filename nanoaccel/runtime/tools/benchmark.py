"""Speed of an opened model, in llama-bench's tests.

``pp512`` is a prompt of 512 tokens, timed to its first token. ``tg128`` decodes 128 tokens after
a prompt of one token, ``tg128 @ 4`` does so for four requests together; their clocks start when
the first token is out. Several engines have one clock for all, from the first token of any.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from nanoaccel.errors import ConfigError, GenerationError
from nanoaccel.runtime.engine.client import InProcessClient
from nanoaccel.runtime.llm import LLM
from nanoaccel.runtime.sampling import SamplingParams, SamplingSettings
from nanoaccel.runtime.types.outputs import Completion, RequestOutput

_WARM_UP_TOKENS = 8
_SEED = 1
# Requests that run in the same steps agree but for rounding.
_SAME_STEP = 1e-6


@dataclass(frozen=True, slots=True)
class BenchmarkTest:
    """What is measured.

    Args:
        kind: "pp", prompt processing, or "tg", text generation.
        tokens: Tokens of the prompt, or to generate for each request; 1 or more.
        batch: Requests that run together; 1 for "pp".

    Raises:
        ConfigError: A count is less than 1.
    """

    kind: Literal["pp", "tg"]
    tokens: int
    batch: int = 1

    def __post_init__(self) -> None:
        for name in ("tokens", "batch"):
            value = getattr(self, name)
            if value < 1:
                raise ConfigError(f"{name}={value} is out of range", "It must be 1 or more")

    @property
    def name(self) -> str:
        """As llama-bench would call it."""
        return f"{self.kind}{self.tokens}" + (f" @ {self.batch}" if self.batch > 1 else "")


@dataclass(frozen=True, slots=True)
class BenchmarkResult:
    """What was measured: tokens a second in each run, all requests together."""

    test: BenchmarkTest
    samples: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean of the runs."""
        return statistics.fmean(self.samples)

    @property
    def sd(self) -> float:
        """Standard deviation of the runs; 0 for one."""
        return statistics.stdev(self.samples) if len(self.samples) > 1 else 0.0


def plan_tests(prompt: int, generate: int, batches: Sequence[int]) -> list[BenchmarkTest]:
    """The tests for some lengths.

    Args:
        prompt: Tokens of the prompt test; 0 leaves it out.
        generate: Tokens of the generation tests; 0 leaves them out.
        batches: Requests together, one generation test each.

    Raises:
        ConfigError: Nothing is left, or a count is negative.
    """
    tests = [BenchmarkTest("pp", prompt)] if prompt != 0 else []
    if generate != 0:
        tests += [BenchmarkTest("tg", generate, batch) for batch in batches]
    if not tests:
        raise ConfigError("there is nothing to measure", "Ask for prompt or generated tokens")
    return tests


def measure(
    llm: LLM,
    test: BenchmarkTest,
    *,
    repetitions: int,
    listener: Callable[[str], None],
) -> BenchmarkResult:
    """Run a test some times, after a warm-up that does not count.

    Args:
        llm: Nothing else may run on it.
        test: What to measure.
        repetitions: Runs that count.
        listener: Called with what is done.

    Raises:
        ConfigError: ``repetitions`` is less than 1, or the test fits neither context nor cache.
        GenerationError: A request failed.
    """
    if repetitions < 1:
        raise ConfigError(f"repetitions={repetitions} is out of range", "It must be 1 or more")
    draw = random.Random(_SEED)
    run = _prompt_speed if test.kind == "pp" else _generation_speed
    listener(f"{test.name}: warm-up")
    run(llm, _warm_up(test), draw)
    if isinstance(llm.client, InProcessClient):
        llm.client.compact_pages()
    samples = []
    for number in range(repetitions):
        listener(f"{test.name}: run {number + 1} of {repetitions}")
        samples.append(run(llm, test, draw))
    return BenchmarkResult(test, tuple(samples))


def _warm_up(test: BenchmarkTest) -> BenchmarkTest:
    if test.kind == "pp":
        return test
    return BenchmarkTest("tg", min(_WARM_UP_TOKENS, test.tokens), test.batch)


def _prompt_speed(llm: LLM, test: BenchmarkTest, draw: random.Random) -> float:
    (completion,) = _run(llm, [_token_ids(llm, test.tokens, draw)], 1)
    assert completion.stats.first_token is not None
    return test.tokens / completion.stats.first_token


def _generation_speed(llm: LLM, test: BenchmarkTest, draw: random.Random) -> float:
    prompts = [_token_ids(llm, 1, draw) for _ in range(test.batch)]
    completions = _run(llm, prompts, test.tokens + 1)
    seconds = [_decode_seconds(completion) for completion in completions]
    if llm.replicas > 1:  # each has steps of its own, so the clock starts with the very first token
        return test.batch * test.tokens / _span(completions)
    if max(seconds) - min(seconds) > _SAME_STEP:
        raise ConfigError(
            f"the {test.batch} requests of {test.name} did not run together",
            "Give the cache more memory, or let more requests and tokens into a step",
        )
    return test.batch * test.tokens / max(seconds)


def _run(llm: LLM, prompts: list[list[int]], tokens: int) -> list[Completion]:
    params = SamplingSettings().complete(SamplingParams(max_tokens=tokens, ignore_eos=True))
    outputs: list[RequestOutput] = llm.generate(prompts, params)
    completions = [output.completions[0] for output in outputs]
    for completion in completions:
        if completion.finish_reason == "error":
            raise GenerationError(str(completion.error))
        if completion.usage.completion_tokens != tokens:
            raise ConfigError(
                f"{len(prompts[0]) + tokens} tokens do not fit the context of {llm.context_length}",
                "Ask for fewer, or give the cache more memory",
            )
    return completions


def _decode_seconds(completion: Completion) -> float:
    assert completion.stats.first_token is not None
    return completion.stats.total - completion.stats.first_token


def _span(completions: Sequence[Completion]) -> float:
    """Seconds from the first token of any to the last of all; all were submitted together."""
    firsts = [c.stats.first_token for c in completions if c.stats.first_token is not None]
    return max(completion.stats.total for completion in completions) - min(firsts)


def _token_ids(llm: LLM, count: int, draw: random.Random) -> list[int]:
    return [draw.randrange(llm.backend.vocab_size) for _ in range(count)]
