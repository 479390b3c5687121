"""How many draft tokens to check in a step: a state machine without clocks, tensors or tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, groupby

from nanoaccel.runtime.execution.time_curve import TimeCurve
from nanoaccel.runtime.speculation.draft_cost import DraftTokenCost
from nanoaccel.runtime.speculation.ledger import Ledger
from nanoaccel.runtime.speculation.steps import Goodput, StepSavings, StepShape

# Speculation begins when it is expected to save this share of time, and ends when it saves none.
HYSTERESIS = 0.03
# Of many draft tokens those are chosen that look best, some of them by chance: what they take
# counts as this much more.
_PRUDENCE = 1.1
# After so many steps with draft tokens comes one without, so that its cost stays known. At first
# they come sooner: what was measured may be wrong.
PLAIN_EVERY = 64
_PLAIN_SOON = 8
# Other programs make some passes longer: beyond this factor, the draft tokens are not the cause.
_MOST_SURPRISE = 1.5
_MANY = 1 << 16
# A draft token that is reached less often pays on no machine: a token more costs some percent of a
# pass.
_LEAST_CHANCE = 0.02
# Draft tokens in a step for which it is looked up what one takes.
_SAMPLED_COUNTS = (1, 2, 4, 7, 8, 15)
# So many steps share a bound for draft tokens that cost nothing.
_BOUND_STEPS = 16
_FREE = DraftTokenCost()


class Controller:
    """Chooses the draft tokens for which the most tokens a second are expected, or none.

    All draft tokens of a step compete: those that are likeliest to be reached and accepted come
    first, as each of them costs the same. With g of them a step gives ``E(g) = writers + S_1 + ...
    + S_g`` tokens and takes ``c(tokens + g)``; the best g maximises ``E(g) / c(g)`` (goodput, Liu
    et al. 2024), and a ``Ledger`` bounds what can be lost.

    Args:
        times: Seconds of passes whose tokens all have logits; goes on learning here.
        pad: From the tokens of a pass with draft tokens to those that it is padded to. What fits in
            beside them is for nothing.

    Attributes:
        ledger: The account.
        pad: As given.
    """

    def __init__(self, times: TimeCurve, pad: Callable[[int], int] = lambda tokens: tokens) -> None:
        self.ledger = Ledger()
        self._times = times
        self.pad = pad
        self._on = False
        self._in_row = 0
        self._plain_every = _PLAIN_SOON
        self._num_settled = 0
        self._least: dict[StepShape, float] = {}

    def pass_size(self, shape: StepShape, num_drafts: int) -> int:
        """Tokens that the pass of a step has with so many draft tokens."""
        return self.pad(shape.tokens + num_drafts) if num_drafts > 0 else shape.tokens

    def goodput(
        self, cumulative: Sequence[float], shape: StepShape, cost: DraftTokenCost = _FREE
    ) -> Goodput:
        """What draft tokens for one request would bring, the others getting none.

        Args:
            cumulative: The cumulative acceptance of its first, second, ... draft token.
            shape: The step without them.
            cost: What it takes to make them.
        """
        unit = self._times.seconds(1)
        if unit is None:
            return Goodput(0, 0.0)
        without = self._at(shape.tokens)
        plain = shape.writers / without
        best, rate = 0, plain
        given, least = float(shape.writers), plain * self._threshold
        worth = self._worth(shape.writers)
        for count, chance in enumerate(cumulative, 1):
            chance *= worth
            given += chance
            spent = cost.seconds(count) + self._at(self.pad(shape.tokens + count))
            if not self.ledger.covers((spent - without) / unit):
                break
            if given > max(rate, least) * spent:
                best, rate = count, given / spent
            if given + chance * (len(cumulative) - count) <= max(rate, least) * spent:
                break  # even if all others were as likely as this one
        return Goodput(best, rate, plain)

    def least_chance(self, shape: StepShape) -> float:
        """How often a draft token must be reached and right at least, if it costs nothing.

        A bound: those that are less likely bring less than their share of any pass takes.

        Args:
            shape: The step without draft tokens.
        """
        if shape not in self._least:
            self._least[shape] = _LEAST_CHANCE
            if self._times.seconds(1) is not None:
                plain = self._at(shape.writers) / shape.writers
                without = self._at(shape.tokens)
                shares = (
                    (self._at(self.pad(shape.tokens + count)) - without) / count
                    for count in _SAMPLED_COUNTS
                )
                self._least[shape] = max(_LEAST_CHANCE, min(shares) / plain)
        return self._least[shape]

    def floors(self, most: int, shape: StepShape, cost: DraftTokenCost, rate: float) -> list[float]:
        """By position, how often a draft token must be reached and right to be worth making.

        Args:
            most: Draft tokens.
            shape: The step without them.
            cost: What it takes to make them.
            rate: Tokens a second that they shall bring at least.
        """
        sizes = (self.pad(shape.tokens + count) for count in range(1, most + 1))
        passes = [self._at(shape.tokens), *map(self._at, sizes)]
        least = rate / self._worth(shape.writers)
        return [(cost.more + share) * least for share in _shares(passes)]

    def affordable(self, cost: DraftTokenCost, before: float = 0.0) -> int:
        """Draft tokens that may be made in a step.

        Args:
            cost: What it takes to make them.
            before: Seconds that it takes before there is one.
        """
        unit = self._times.seconds(1)
        if unit is None:
            return _MANY
        left = self.ledger.balance * unit - before - cost.first
        if left < 0:
            return 0
        return 1 + int(min(_MANY, left / cost.more)) if cost.more > 0 else _MANY

    def choose(
        self,
        cumulatives: Sequence[Sequence[float]],
        shape: StepShape,
        limit: int,
        drafting: float = 0.0,
    ) -> list[int]:
        """How many draft tokens of each draft to check.

        Args:
            cumulatives: For each draft, the cumulative acceptance of its first, second, ... token:
                the chance that it is reached and accepted. It never rises.
            shape: The step without them.
            limit: Draft tokens in all at most.
            drafting: Seconds that making them took.
        """
        ranked = sorted(
            ((chance, draft) for draft, chances in enumerate(cumulatives) for chance in chances),
            key=lambda ranked: -ranked[0],
        )
        worth = self._worth(shape.writers, _alike(cumulatives, shape.writers))
        count = self._count([chance for chance, _ in ranked[:limit]], shape, drafting, worth)
        if self._in_row >= self._plain_every:
            self._plain_every = min(2 * self._plain_every, PLAIN_EVERY)
        self._on = count > 0
        self._in_row = self._in_row + 1 if count > 0 else 0
        counts = [0] * len(cumulatives)
        for _, draft in ranked[:count]:
            counts[draft] += 1
        return counts

    def savings(self, shape: StepShape, num_drafts: int, seconds: float) -> StepSavings:
        """How to tell what draft tokens save each request; nothing without draft tokens.

        Args:
            shape: As it was chosen for.
            num_drafts: Those that were checked.
            seconds: What the step took, making draft tokens included.
        """
        plain = self._times.seconds(shape.writers)
        if plain is None or num_drafts == 0:
            return StepSavings()
        prompts = self._at(shape.tokens) - plain
        return StepSavings(
            plain / shape.writers, (seconds - prompts) / (shape.writers + num_drafts)
        )

    def settle(
        self,
        shape: StepShape,
        num_drafts: int,
        given: int,
        seconds: float,
        drafting: float = 0.0,
    ) -> None:
        """Note what a step brought.

        Args:
            shape: As it was chosen for.
            num_drafts: Those that were checked.
            given: Tokens that all requests got.
            seconds: What the step took, without making draft tokens.
            drafting: Seconds that making draft tokens took.
        """
        self._num_settled += 1
        if self._num_settled % _BOUND_STEPS == 0:
            self._least.clear()
        unit, plain = self._times.seconds(1), self._times.seconds(shape.writers)
        if unit is None or plain is None:
            return
        deserved = given * plain / shape.writers
        if shape.tokens == shape.writers:  # rows of logits cost too, and prompts have none
            self._times.observe(self.pass_size(shape, num_drafts), seconds)
        if num_drafts == 0:
            self.ledger.settle(plain / unit, (plain + drafting) / unit)
            return
        expected, without = self._with(shape, num_drafts), self._at(shape.tokens)
        spent = max(min(seconds, _MOST_SURPRISE * expected), without) - without + plain + drafting
        self.ledger.settle(deserved / unit, spent / unit)

    @property
    def _threshold(self) -> float:
        """How much faster than plain decoding speculation must be expected to be."""
        return 1.0 if self._on else 1 + HYSTERESIS

    def _count(
        self, chances: Sequence[float], shape: StepShape, drafting: float, worth: float
    ) -> int:
        """The best number of draft tokens, likeliest first."""
        unit, plain = self._times.seconds(1), self._times.seconds(shape.writers)
        if unit is None or plain is None or not chances or self._in_row >= self._plain_every:
            return 0
        given = list(accumulate(chances))
        value = self._seconds_per_token(given, shape.writers) * worth
        without = self._at(shape.tokens)
        best = 0
        most = (0.0 if self._on else HYSTERESIS) * plain
        for count, seconds in self._full_passes(shape, len(chances)):
            price = seconds - without
            if not self.ledger.covers((price + drafting) / unit):
                break
            gain = given[count - 1] * value - _PRUDENCE * price
            if gain > most:
                best, most = count, gain
        return best

    def _seconds_per_token(self, given: Sequence[float], writers: int) -> float:
        """Seconds of a token, decoding at its best: what a token is worth."""
        alone = StepShape(writers, writers)
        rates = (
            seconds / (writers + given[count - 1])
            for count, seconds in self._full_passes(alone, len(given))
        )
        return min(self._at(writers) / writers, *rates)

    def _worth(self, writers: int, alike: float = 0.0) -> float:
        """What an accepted draft token is worth of its share of a plain step.

        All of it where all requests gain alike, as they need fewer passes. Where one gains alone,
        the others need theirs all the same, and it saves them no more than a row; but its own text
        comes sooner. So it is between the two, nearer to the middle the more requests there are.

        Args:
            writers: Requests of the step.
            alike: What a draft token brings where it brings least, as a share of the average; 0
                where that is not known.
        """
        if writers < 3:
            return 1.0
        together = self._at(writers)
        row = (together - self._at(1)) / (writers - 1)
        full = max(0.5 + 1 / writers, alike)
        return full + (1 - full) * min(1.0, row * writers / together)

    def _full_passes(self, shape: StepShape, most: int) -> Iterator[tuple[int, float]]:
        """Up to ``most``, the counts after which one more needs a larger pass; seconds of each."""
        count = 0
        while count < most:
            size = self.pad(shape.tokens + count + 1)
            count = min(most, size - shape.tokens)
            yield count, self._at(size)

    def _with(self, shape: StepShape, num_drafts: int) -> float:
        return self._at(self.pass_size(shape, num_drafts))

    def _at(self, tokens: int) -> float:
        seconds = self._times.seconds(tokens)
        assert seconds is not None, "the cost of a pass is known"
        return seconds


def _alike(cumulatives: Sequence[Sequence[float]], writers: int) -> float:
    """What a draft token brings where it brings least, as a share of what it brings on average."""
    firsts = [chances[0] for chances in cumulatives if chances]
    return min(firsts) * writers / sum(firsts) if len(firsts) == writers else 0.0


def _shares(passes: Sequence[float]) -> list[float]:
    """What each draft token bears of a pass; those that fit in for one price share it.

    Args:
        passes: Seconds of the pass with 0, 1, 2, ... draft tokens.
    """
    shares: list[float] = []
    before = passes[0]
    for price, equal in groupby(passes[1:]):
        count = sum(1 for _ in equal)
        shares += [(price - before) / count] * count
        before = price
    return shares or [0.0]
