"""Measures drafts for one target on this machine: what they cost, how often they are right."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from nanoaccel.bundle import Bundle
from nanoaccel.runtime.engine.prompts import Prompt
from nanoaccel.runtime.llm import LLM
from nanoaccel.runtime.sampling import SamplingParams, SamplingSettings
from nanoaccel.runtime.scheduling.options import RequestOptions
from nanoaccel.runtime.speculation.drafters.opening import check_draft, memory_of
from nanoaccel.runtime.types.outputs import RequestOutput

PROMPTS = (
    "Explain in a few sentences how a bicycle stays upright.",
    "Write a short letter to a neighbour who has found your cat.",
    "Write a Python function that returns the longest word of a text, with a docstring.",
    "List six things to pack for a week in the mountains, with a reason for each.",
    "Translate into French: The library is open until nine, and the café closes at eight.",
    "Summarize: The mill stood empty for thirty years. In spring a potter bought it, mended the "
    "roof, and now fires her kiln twice a week. The village brings her its broken cups.",
)


@dataclass(frozen=True, slots=True)
class RankedDraft:
    """What a draft brings.

    Args:
        name: Its folder, or "ngram".
        size: Bytes of its files.
        memory: About the bytes that it takes in memory.
        speed: Times as fast as plain decoding, measured in turn on the same prompts.
        tokens_per_step: Tokens that a step gives on average; 1 without drafts.
        survival: Share of drafts whose first 1, 2, 3 tokens were accepted.
        seconds_per_guess: Time per draft token; 0 where nothing was drafted.
    """

    name: str
    size: int
    memory: int
    speed: float
    tokens_per_step: float
    survival: tuple[float, ...]
    seconds_per_guess: float


def rank_drafts(
    target: Path,
    candidates: Sequence[Path],
    *,
    max_tokens: int = 96,
    rounds: int = 2,
    prompts: Sequence[str] = PROMPTS,
    progress: Callable[[str], None],
) -> list[RankedDraft]:
    """Measure each draft beside n-grams, and n-grams alone; the fastest comes first.

    Args:
        target: A bundle.
        candidates: Heads and bundles.
        max_tokens: Tokens of an answer at most.
        rounds: Times that each prompt is answered both ways.
        prompts: To answer.
        progress: Called with what is measured.

    Raises:
        ConfigError: A candidate is no draft for the target.
        BundleError: A folder is damaged.
    """
    for candidate in candidates:
        check_draft(candidate, Bundle.open(target))
    ranked = []
    for draft in (None, *candidates):
        progress("ngram" if draft is None else str(draft))
        with LLM(target, draft=draft, prefix_cache=False, replicas=1) as llm:
            ranked.append(_measure(llm, draft, max_tokens, rounds, prompts))
    return sorted(ranked, key=lambda one: -one.speed)


def _measure(
    llm: LLM, draft: Path | None, max_tokens: int, rounds: int, prompts: Sequence[str]
) -> RankedDraft:
    params = SamplingSettings().complete(SamplingParams(max_tokens=max_tokens))
    asked = [_prompt(llm, prompt) for prompt in prompts]
    speculation = "ngram" if draft is None else "auto"
    for way in ("off", speculation):
        llm.generate(asked[0], params, RequestOptions(speculation=way))
    plain = ours = 0.0
    for turn in range(rounds):
        for place, prompt in enumerate(asked):
            ways = ["off", speculation]
            for way in ways if (turn + place) % 2 == 0 else reversed(ways):
                seconds = _decoding(llm.generate(prompt, params, RequestOptions(speculation=way)))
                if way == "off":
                    plain += seconds
                else:
                    ours += seconds
    counters = llm.counters().speculation
    alive = tuple(right / counters.reached[0] for right in counters.accepted[:3])
    return RankedDraft(
        name="ngram" if draft is None else str(draft),
        size=0 if draft is None else sum(f.stat().st_size for f in draft.rglob("*") if f.is_file()),
        memory=0 if draft is None else memory_of(draft),
        speed=plain / ours,
        tokens_per_step=counters.tokens_per_step,
        survival=alive,
        seconds_per_guess=max(counters.seconds_per_guess.values(), default=0.0),
    )


def _prompt(llm: LLM, prompt: str) -> Prompt:
    return [{"role": "user", "content": prompt}] if llm.tokenizer.has_chat_template else prompt


def _decoding(output: RequestOutput) -> float:
    """Seconds from the first token to the last."""
    assert output.stats.first_token is not None
    return output.stats.total - output.stats.first_token
