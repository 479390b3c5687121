"""Drafters that take time are asked where that pays, and never lose more than the ledger allows.

The whole engine runs, on a clock that passes and guesses advance.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from support.speculating import (
    Curve,
    Truth,
    blocked,
    decaying,
    flat,
    independent,
    steep,
    switching,
    teasing,
)

from nanoaccel.runtime.execution.scaled_curve import ScaledCurve
from nanoaccel.runtime.speculation import Controller
from nanoaccel.runtime.speculation.drafters import Draft
from nanoaccel.runtime.speculation.ledger import START
from nanoaccel.runtime.types.plan import StepPlan, StepResult
from nanoaccel.testing.drafters import Guesser
from nanoaccel.testing.engines import VOCAB_SIZE, Bench, next_letter, quick
from nanoaccel.text import Tokenizer

SLACK = 0.5
# What a guess costs, as a share of a plain step: a head's, and a small model's.
HEAD, MODEL = 0.1, 0.5
TOKENS = 600


class Costly(Guesser):
    """Guesses what the engine will write, or something else, and takes its time.

    Args:
        truth: Which guesses are right.
        cost: Milliseconds of a pass, which guesses a token for each request.
        reading: Milliseconds to read a token of a text.
        spike: Other programs make the first pass, and one of 30, this many times as long.
    """

    def __init__(self, truth: Truth, cost: float, reading: float = 0.0, spike: float = 1.0) -> None:
        super().__init__(lambda _: [], name="costly", prior=0.5)
        self.is_free = False
        self.bench: Bench | None = None
        self.num_drafts = 0
        self._truth, self._cost, self._reading = truth, cost, reading
        self._spike, self._num_passes = spike, 0
        self._read: dict[int, int] = {}

    def propose(self, drafts: Sequence[Draft]) -> None:
        assert self.bench is not None
        for draft in drafts:
            draft.lag = len(draft.tokens) - self._read.get(draft.request_id, 0)
            self._read[draft.request_id] = len(draft.tokens)
            self.bench.time += draft.lag * self._reading
        live = [(draft, draft.tokens.tolist()) for draft in drafts]
        while live:
            self.bench.time += self._cost * (self._spike if self._num_passes % 30 == 0 else 1.0)
            self._num_passes += 1
            live = [(draft, text) for draft, text in live if self._add(draft, text)]

    def _add(self, draft: Draft, text: list[int]) -> bool:
        self.num_drafts += 1
        right = self._truth(len(draft.tokens), len(draft.proposed), True)
        text.append(next_letter(text))
        wrong = (text[-1] + 1) % VOCAB_SIZE
        return draft.add(text[-1] if right else wrong, 0)


class Timed:
    """Requests that write together; what they took, and what they would have without guesses."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        curve: Curve,
        drafters: Sequence[Guesser],
        batch: int = 1,
        tokens: int = TOKENS,
        prompt: int = 1,
    ) -> None:
        cost = ScaledCurve()
        cost.restore({size: curve(size) for size in (1, 2, 4, 8, 16)})
        self._curve = curve
        self.bench = Bench(
            tokenizer,
            quick(),
            num_blocks=2048,
            max_step_tokens=128,
            drafters=drafters,
            controller=Controller(cost),
        )
        for drafter in drafters:
            if isinstance(drafter, Costly):
                drafter.bench = self.bench
        self._forward = self.bench.backend.forward
        self.bench.backend.forward = self._timed  # type: ignore[method-assign]
        self.requests = [
            self.bench.submit([place] * prompt, max_tokens=tokens, ignore_eos=True)
            for place in range(batch)
        ]

    def _timed(self, plan: StepPlan) -> StepResult:
        self.bench.time += self._curve(len(plan.token_ids))
        return self._forward(plan)

    def run(self) -> tuple[float, float]:
        """Speed against plain decoding, and plain steps lost beyond the allowance."""
        plain = 0.0
        while self.bench.engine.has_work:
            before = self.bench.engine.counters().generated_tokens
            running = max(1, len(list(self.bench.scheduler.requests())))
            self.bench.step()
            given = self.bench.engine.counters().generated_tokens - before
            plain += given * self._curve(running) / running
        return plain / self.bench.time, (self.bench.time - 1.02 * plain) / self._curve(1)


@pytest.mark.parametrize("curve", [flat, steep, blocked])
@pytest.mark.parametrize("cost", [HEAD, MODEL])
@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize(
    "truth",
    [independent(0.0), independent(0.3), decaying(), switching(32), switching(256), teasing()],
    ids=["never", "0.3", "decaying", "switching 32", "switching 256", "teasing"],
)
def test_costly_drafter_never_loses_more_than_the_ledger_allows(
    tokenizer: Tokenizer, curve: Curve, cost: float, batch: int, truth: Truth
) -> None:
    drafter = Costly(truth, cost * curve(1))
    speed, overrun = Timed(tokenizer, curve, [drafter], batch, tokens=280).run()
    assert overrun <= START + SLACK
    assert speed > 0.95


@pytest.mark.parametrize("rate", [0.5, 0.7, 0.9])
@pytest.mark.parametrize("cost", [HEAD, MODEL])
def test_costly_drafter_comes_near_the_best_fixed_length(
    tokenizer: Tokenizer, rate: float, cost: float
) -> None:
    given = [sum(rate**place for place in range(g + 1)) for g in range(16)]
    taken = [g * cost * flat(1) + flat(1 + g) for g in range(16)]
    best = max(flat(1) * tokens / time for tokens, time in zip(given, taken, strict=True))
    speed, _ = Timed(tokenizer, flat, [Costly(independent(rate), cost * flat(1))]).run()
    assert speed > 0.9 * best


@pytest.mark.parametrize("rate", [0.0, 0.3, 0.7])
def test_costly_drafter_bears_spikes_of_its_own_time(tokenizer: Tokenizer, rate: float) -> None:
    cost = HEAD * blocked(1)
    calm, _ = Timed(tokenizer, blocked, [Costly(independent(rate), cost)]).run()
    spiky = Costly(independent(rate), cost, spike=10.0)
    speed, overrun = Timed(tokenizer, blocked, [spiky]).run()
    assert overrun <= START + SLACK
    # A spike costs as much as a plain step.
    assert speed > max(0.95, 0.88 * calm)


def test_costly_drafter_that_never_pays_is_hardly_ever_asked(tokenizer: Tokenizer) -> None:
    drafter = Costly(independent(0.0), MODEL * flat(1))
    Timed(tokenizer, flat, [drafter]).run()
    assert drafter.num_drafts < TOKENS / 20


def test_costly_drafter_is_found_again_when_it_becomes_good(tokenizer: Tokenizer) -> None:
    def late(token: int, _position: int, _checked: bool) -> bool:
        return token > 200

    speed, _ = Timed(tokenizer, flat, [Costly(late, HEAD * flat(1))]).run()
    assert speed > 1.5


def test_costly_drafter_leaves_good_guesses_that_cost_nothing_alone(tokenizer: Tokenizer) -> None:
    def rightly(draft: Draft) -> list[int]:
        text: list[int] = draft.tokens.tolist()
        for _ in range(draft.limit):
            text.append(next_letter(text))
        return text[len(draft.tokens) :]

    costly = Costly(independent(0.6), MODEL * flat(1))
    free = Guesser(rightly, name="free", prior=0.9)
    speed, _ = Timed(tokenizer, flat, [costly, free]).run()
    assert costly.num_drafts < TOKENS / 20
    assert speed > 2


def test_costly_drafter_reads_a_long_prompt_once_where_that_pays(tokenizer: Tokenizer) -> None:
    drafter = Costly(independent(0.8), HEAD * flat(1), reading=flat(1) / 200)
    timed = Timed(tokenizer, flat, [drafter], tokens=300, prompt=200)
    speed, overrun = timed.run()
    assert speed > 1.4
    assert overrun <= START + SLACK
    # Such a prompt costs a plain step to read: too much where one guess could be right.
    num_drafts = drafter.num_drafts
    timed.bench.submit([3] * 200, max_tokens=2, ignore_eos=True)
    timed.bench.run()
    assert drafter.num_drafts == num_drafts


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("rate", [0.0, 0.8])
def test_requests_know_what_guesses_saved_them(
    tokenizer: Tokenizer, batch: int, rate: float
) -> None:
    timed = Timed(tokenizer, flat, [Costly(independent(rate), HEAD * flat(1))], batch, 280)
    speed, _ = timed.run()
    saved = sum(timed.bench.result(request).stats.saved for request in timed.requests)
    # Requests do not end together, and probes whose guesses are not checked are nobody's.
    assert saved == pytest.approx((speed - 1) * timed.bench.time, abs=0.02 * timed.bench.time)
