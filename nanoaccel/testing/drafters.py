"""Drafters whose guesses a test chooses, and a controller that has all of them checked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from random import Random

from nanoaccel.runtime.execution.scaled_curve import ScaledCurve
from nanoaccel.runtime.speculation import Controller
from nanoaccel.runtime.speculation.draft_cost import DraftTokenCost
from nanoaccel.runtime.speculation.drafters import Draft
from nanoaccel.runtime.speculation.steps import Goodput, StepShape
from nanoaccel.runtime.types.plan import Int64Array

Guess = Callable[[Draft], Iterable[int]]


class Guesser:
    """Guesses what a function says, until the draft is long enough.

    Args:
        guess: From a draft to the tokens that it adds.
        name: Name of the drafter.
        prior: How often its guesses are said to be right.

    Attributes:
        asked: The requests for which it was asked to guess, one entry each time.
        finished: Those that it was told to forget.
    """

    def __init__(self, guess: Guess, *, name: str = "guesser", prior: float = 0.9) -> None:
        self.name = name
        self.is_free = True
        self.priors: Sequence[float] = (prior,)
        self.asked: list[int] = []
        self.finished: list[int] = []
        self._guess = guess

    def propose(self, drafts: Sequence[Draft]) -> None:
        for draft in drafts:
            self.asked.append(draft.request_id)
            for token in self._guess(draft):
                if not draft.add(token, 0):
                    break

    def finish(self, request_id: int, tokens: Int64Array, num_prompt: int) -> None:  # noqa: ARG002
        self.finished.append(request_id)

    def close(self) -> None:
        pass


def same(token: int) -> Guess:
    """The same token, as often as it may."""
    return lambda draft: [token] * draft.limit


def random_tokens(vocab_size: int, seed: int) -> Guess:
    """Any tokens, any number of them."""
    random = Random(seed)

    def guess(draft: Draft) -> list[int]:
        return [random.randrange(vocab_size) for _ in range(random.randint(0, draft.limit))]

    return guess


def knowing(texts: Mapping[int, Sequence[int]], right: float, seed: int = 0) -> Guess:
    """Each token of the text that a request will be, or with some probability the one after it.

    Args:
        texts: By request, its prompt and all that it writes.
        right: How likely each guess is right.
        seed: Seed of the dice.
    """
    random = Random(seed)

    def guess(draft: Draft) -> list[int]:
        known = texts[draft.request_id][len(draft.tokens) :]
        return [token if random.random() < right else (token + 1) % 4 for token in known]

    return guess


class Always(Controller):
    """Has all guesses made and checked for which the step has room."""

    def __init__(self, pad: Callable[[int], int] = lambda tokens: tokens) -> None:
        super().__init__(ScaledCurve(), pad)

    def goodput(
        self,
        cumulative: Sequence[float],
        shape: StepShape,
        cost: DraftTokenCost | None = None,  # noqa: ARG002
    ) -> Goodput:
        return Goodput(len(cumulative), shape.writers + sum(cumulative), shape.writers)

    def least_chance(self, shape: StepShape) -> float:  # noqa: ARG002
        return 0.0

    def floors(
        self,
        most: int,
        shape: StepShape,  # noqa: ARG002
        cost: DraftTokenCost,  # noqa: ARG002
        rate: float,  # noqa: ARG002
    ) -> list[float]:
        return [0.0] * most

    def affordable(self, cost: DraftTokenCost, before: float = 0.0) -> int:  # noqa: ARG002
        return 1 << 16

    def choose(
        self,
        cumulatives: Sequence[Sequence[float]],
        shape: StepShape,  # noqa: ARG002
        limit: int,
        drafting: float = 0.0,  # noqa: ARG002
    ) -> list[int]:
        assert limit >= 0, "the step has too many tokens already"
        counts = []
        for chances in cumulatives:
            counts.append(min(len(chances), limit))
            limit -= counts[-1]
        return counts
