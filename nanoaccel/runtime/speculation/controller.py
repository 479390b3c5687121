"""How many guesses to check in a step: a state machine without clocks, tensors or tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby, islice, repeat

from nanoaccel.runtime.execution.time_curves import TimeCurve
from nanoaccel.runtime.speculation.draft_cost import GuessCost
from nanoaccel.runtime.speculation.ledger import Ledger

# Speculation begins when it promises this share of time at least, and ends when it promises none.
HYSTERESIS = 0.03
# After so many steps with guesses comes one without, so that its cost stays known.
PLAIN_EVERY = 64
# Other programs make some passes longer: beyond this factor, it is not the guesses' fault.
_MOST_SURPRISE = 1.5
_MANY = 1 << 16
# A draft token that is reached less often pays on no machine: a token more costs some percent of a
# pass.
_LEAST_CHANCE = 0.02
_FREE = GuessCost()


@dataclass(frozen=True, slots=True)
class StepShape:
    """A step as it would be without guesses.

    Args:
        writers: Requests that get a token from it, 1 or more.
        tokens: Tokens that go through the graph; more than ``writers`` when prompts are among them.
    """

    writers: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Goodput:
    """What guesses for one request would bring.

    Args:
        count: Guesses that are best, 0 when none pay.
        rate: Tokens a second of all requests, with them.
        plain: Tokens a second without any.
    """

    count: int
    rate: float
    plain: float = 0.0

    def saving(self, rival: float) -> float:
        """Seconds a token, against plain decoding or against other guesses at this rate."""
        other = max(self.plain, rival)
        return 1 / other - 1 / self.rate if other > 0 else 0.0


@dataclass(frozen=True, slots=True)
class StepSavings:
    """What a step with guesses is measured by, in seconds.

    Args:
        token: What a token takes in plain decoding.
        row: What a row of logits took in this step.
    """

    token: float = 0.0
    row: float = 0.0


class Controller:
    """Chooses the guesses that promise the most tokens a second, none included.

    All guesses of a step compete: those that are likeliest to be reached and accepted come first,
    as each of them costs the same. With g of them a step gives ``E(g) = writers + S_1 + ... + S_g``
    tokens and takes ``c(tokens + g)``; the best g maximises ``E(g) / c(g)`` (goodput, Liu et al.
    2024), and a ``Ledger`` bounds what can be lost.

    Args:
        times: Seconds of passes whose tokens all have logits; goes on learning here.
        pad: From the tokens of a pass with guesses to those that it is padded to. What fits in
            beside them is for nothing.

    Attributes:
        ledger: The account.
        pad: As given.
        least_chance: How often a draft token must be reached and accepted, if it costs nothing.
    """

    least_chance = _LEAST_CHANCE

    def __init__(self, times: TimeCurve, pad: Callable[[int], int] = lambda tokens: tokens) -> None:
        self.ledger = Ledger()
        self._times = times
        self.pad = pad
        self._on = False
        self._in_row = 0

    def move(self, times: TimeCurve, pad: Callable[[int], int]) -> None:
        """Go on with another graph, whose passes take other times."""
        self._times, self.pad = times, pad

    def pass_size(self, shape: StepShape, guesses: int) -> int:
        """Tokens that the pass of a step has with so many guesses."""
        return self.pad(shape.tokens + guesses) if guesses > 0 else shape.tokens

    def promise(
        self, survival: Sequence[float], shape: StepShape, cost: GuessCost = _FREE
    ) -> Goodput:
        """What guesses for one request would bring, the others getting none.

        Args:
            survival: The chance that its first, second, ... guess is reached and right.
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
        passes = islice(self._passes(shape, len(survival)), 1, None)
        for count, (chance, seconds) in enumerate(zip(survival, passes, strict=True), 1):
            given += chance
            spent = cost.seconds(count) + seconds
            if not self.ledger.covers((spent - without) / unit):
                break
            if given / spent > max(rate, least):
                best, rate = count, given / spent
            if given + chance * (len(survival) - count) <= max(rate, least) * spent:
                break  # even if all others were as likely as this one
        return Goodput(best, rate, plain)

    def floors(self, most: int, shape: StepShape, cost: GuessCost, rate: float) -> list[float]:
        """By position, how often a guess must be reached and right to be worth making.

        Args:
            most: Guesses.
            shape: The step without them.
            cost: What it takes to make them.
            rate: Tokens a second that they shall bring at least.
        """
        return [(cost.more + share) * rate for share in _shares(list(self._passes(shape, most)))]

    def affordable(self, cost: GuessCost, before: float = 0.0) -> int:
        """Guesses that may be made in a step.

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
        survivals: Sequence[Sequence[float]],
        shape: StepShape,
        limit: int,
        drafting: float = 0.0,
    ) -> list[int]:
        """How many guesses of each draft to check.

        Args:
            survivals: For each draft, the chance that its first, second, ... guess is reached and
                right; never rising.
            shape: The step without them.
            limit: Guesses in all at most.
            drafting: Seconds that making them took.
        """
        ranked = sorted(
            ((chance, draft) for draft, chances in enumerate(survivals) for chance in chances),
            key=lambda guess: -guess[0],
        )
        count = self._count([chance for chance, _ in ranked[:limit]], shape, drafting)
        self._on = count > 0
        self._in_row = self._in_row + 1 if count > 0 else 0
        counts = [0] * len(survivals)
        for _, draft in ranked[:count]:
            counts[draft] += 1
        return counts

    def worth(self, shape: StepShape, guesses: int, seconds: float) -> StepSavings:
        """How to tell what guesses save each request; nothing without guesses.

        Args:
            shape: As it was chosen for.
            guesses: Those that were checked.
            seconds: What the pass and making guesses took.
        """
        plain = self._times.seconds(shape.writers)
        if plain is None or guesses == 0:
            return StepSavings()
        prompts = self._at(shape.tokens) - plain
        return StepSavings(plain / shape.writers, (seconds - prompts) / (shape.writers + guesses))

    def settle(
        self,
        shape: StepShape,
        guesses: int,
        given: int,
        seconds: float,
        drafting: float = 0.0,
    ) -> None:
        """Note what a step brought.

        Args:
            shape: As it was chosen for.
            guesses: Those that were checked.
            given: Tokens that all requests got.
            seconds: What the pass took.
            drafting: Seconds that making guesses took.
        """
        unit, plain = self._times.seconds(1), self._times.seconds(shape.writers)
        if unit is None or plain is None:
            return
        deserved = given * plain / shape.writers
        if shape.tokens == shape.writers:  # rows of logits cost too, and prompts have none
            self._times.observe(self.pass_size(shape, guesses), seconds)
        if guesses == 0:
            self.ledger.settle(plain / unit, (plain + drafting) / unit)
            return
        expected, without = self._with(shape, guesses), self._at(shape.tokens)
        spent = max(min(seconds, _MOST_SURPRISE * expected), without) - without + plain + drafting
        self.ledger.settle(deserved / unit, spent / unit)

    @property
    def _threshold(self) -> float:
        """How much faster than plain decoding speculation must promise to be."""
        return 1.0 if self._on else 1 + HYSTERESIS

    def _count(self, chances: Sequence[float], shape: StepShape, drafting: float) -> int:
        """The best number of guesses, likeliest first."""
        unit, plain = self._times.seconds(1), self._times.seconds(shape.writers)
        if unit is None or plain is None or not chances or self._in_row >= PLAIN_EVERY:
            return 0
        given = list(accumulate(chances))
        value = self._seconds_per_token(given, shape.writers)
        without = self._at(shape.tokens)
        best = 0
        most = (0.0 if self._on else HYSTERESIS) * plain
        for count, seconds in self._full_passes(shape, len(chances)):
            price = seconds - without
            if not self.ledger.covers((price + drafting) / unit):
                break
            gain = given[count - 1] * value - price
            if gain > most:
                best, most = count, gain
        return best

    def _seconds_per_token(self, given: Sequence[float], writers: int) -> float:
        """Of decoding at its best: what a token is worth."""
        alone = StepShape(writers, writers)
        rates = (
            seconds / (writers + given[count - 1])
            for count, seconds in self._full_passes(alone, len(given))
        )
        return min(self._at(writers) / writers, *rates)

    def _passes(self, shape: StepShape, most: int) -> Iterator[float]:
        """Seconds of the pass with 0, 1, 2, ... guesses."""
        yield self._at(shape.tokens)
        begin = 0
        for count, seconds in self._full_passes(shape, most):
            yield from repeat(seconds, count - begin)
            begin = count

    def _full_passes(self, shape: StepShape, most: int) -> Iterator[tuple[int, float]]:
        """Up to ``most``, the guesses after which one more needs a larger pass; seconds of each."""
        count = 0
        while count < most:
            size = self.pad(shape.tokens + count + 1)
            count = min(most, size - shape.tokens)
            yield count, self._at(size)

    def _with(self, shape: StepShape, guesses: int) -> float:
        return self._at(self.pass_size(shape, guesses))

    def _at(self, tokens: int) -> float:
        seconds = self._times.seconds(tokens)
        assert seconds is not None, "the cost of a pass is known"
        return seconds


def _shares(passes: Sequence[float]) -> list[float]:
    """What each guess bears of a pass; those that fit in for one price share it.

    Args:
        passes: Seconds of the pass with 0, 1, 2, ... guesses.
    """
    shares: list[float] = []
    before = passes[0]
    for price, equal in groupby(passes[1:]):
        count = sum(1 for _ in equal)
        shares += [(price - before) / count] * count
        before = price
    return shares or [0.0]
