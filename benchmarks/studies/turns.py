"""The same prompts answered in several ways, one right after the other, on one engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.harness.figures import in_turn
from benchmarks.studies.oracle import record
from nanoaccel import LLM, RequestOptions, RequestOutput, SamplingParams

PLAIN = "off"
_TOP = 20


@dataclass(frozen=True, slots=True)
class Answer:
    """What a way of answering took.

    Args:
        seconds: Of one request from its first token to the last; of several, until all ended.
        tokens: Generated in that time.
        rows: Steps that gave tokens, counted for each request.
        draft_rows: Those of them that had draft tokens to verify.
        drafted: Draft tokens that were verified.
        accepted: Those that were accepted.
    """

    seconds: float
    tokens: int
    rows: int
    draft_rows: int
    drafted: int
    accepted: int


@dataclass(frozen=True, slots=True)
class Turn:
    """A prompt, or several at once, answered in all ways.

    Args:
        kind: Of the prompts.
        answers: By way; ``PLAIN`` is one of them.
        same: By way, texts that equal the plain ones.
        gaps: How much likelier the plain token was where a text first differs, in nats.
        texts: How many there are.
    """

    kind: str
    answers: dict[str, Answer]
    same: dict[str, int]
    gaps: dict[str, list[float]]
    texts: int


class Asker:
    """Answers prompts in all ways.

    Args:
        llm: With drafters.
        ways: Besides plain decoding, values of ``speculation``.
        generate: Tokens at most.
    """

    def __init__(self, llm: LLM, ways: Sequence[str], generate: int) -> None:
        self._llm = llm
        self._ways = [PLAIN, *ways]
        self._generate = generate
        self._turns = 0

    def turn(self, kind: str, prompts: Sequence[list[int]], *, ignore_eos: bool) -> Turn:
        """Answer prompts at once, in one way after the other; who begins changes."""
        params = SamplingParams(max_tokens=self._generate, ignore_eos=ignore_eos)
        turn = 0 if record.acceptance is not None else self._turns  # an oracle needs the text
        self._turns += 1
        found = {way: self._ask(prompts, params, way) for way in in_turn(self._ways, turn)}
        plain = found[PLAIN]
        gaps = {way: self._gaps(plain, found[way]) for way in self._ways}
        return Turn(
            kind,
            {way: _answer(found[way]) for way in self._ways},
            {way: len(prompts) - len(gaps[way]) for way in self._ways},
            gaps,
            len(prompts),
        )

    def _ask(
        self, prompts: Sequence[list[int]], params: SamplingParams, way: str
    ) -> list[RequestOutput]:
        outputs = self._llm.generate(list(prompts), params, RequestOptions(speculation=way))
        if way == PLAIN:
            for prompt, output in zip(prompts, outputs, strict=True):
                record.remember(prompt, output.token_ids)
        return outputs

    def _gaps(self, plain: Sequence[RequestOutput], ours: Sequence[RequestOutput]) -> list[float]:
        pairs = zip(plain, ours, strict=True)
        return [self._gap(a, b) for a, b in pairs if a.token_ids != b.token_ids]

    def _gap(self, plain: RequestOutput, ours: RequestOutput) -> float:
        """Log-probability between the two tokens at the first place where texts differ."""
        pairs = zip(plain.token_ids, ours.token_ids, strict=False)
        same = next((index for index, (a, b) in enumerate(pairs) if a != b), None)
        if same is None:
            return 0.0  # one text goes on where the other was ended by max_tokens
        text = [*plain.prompt_token_ids, *plain.token_ids[:same]]
        params = SamplingParams(max_tokens=1, logprobs=_TOP, ignore_eos=True)
        output = self._llm.generate(text, params, RequestOptions(speculation=PLAIN))
        top = dict(output.logprobs[0].top)
        least = min(top.values())
        return abs(top.get(plain.token_ids[same], least) - top.get(ours.token_ids[same], least))


def _answer(outputs: Sequence[RequestOutput]) -> Answer:
    total = max(output.stats.total for output in outputs)
    tokens = sum(output.usage.completion_tokens for output in outputs)
    alone = len(outputs) == 1
    first = outputs[0].stats.first_token
    assert first is not None
    return Answer(
        total - first if alone else total,
        tokens - alone,
        sum(output.stats.steps for output in outputs),
        sum(output.stats.draft_steps for output in outputs),
        sum(output.stats.drafted_tokens for output in outputs),
        sum(output.stats.accepted_tokens for output in outputs),
    )
