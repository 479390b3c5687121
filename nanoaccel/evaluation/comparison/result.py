"""What a comparison of two models found."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean

from nanoaccel.calibration.metrics import Fidelity
from nanoaccel.evaluation.comparison.prompts import ComparisonPrompt
from nanoaccel.runtime.types.outputs import FinishReason


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model said to a prompt.

    Args:
        text: Without special tokens.
        token_ids: All tokens that were written.
        pieces: Text of each token, special ones included; joined they are the whole.
        finish_reason: Why it ended.
    """

    text: str
    token_ids: tuple[int, ...]
    pieces: tuple[str, ...]
    finish_reason: FinishReason


@dataclass(frozen=True, slots=True)
class ReadToken:
    """A token of A's answer, as both models predict it.

    Args:
        kl: Divergence of B's prediction from A's, nats.
        probability_a: What A gives the token.
        probability_b: What B gives it.
        likeliest_b: B's likeliest token, its text.
        likeliest_probability_b: What B gives that one.
    """

    kl: float
    probability_a: float
    probability_b: float
    likeliest_b: str
    likeliest_probability_b: float


@dataclass(frozen=True, slots=True)
class ComparedAnswers:
    """Two answers to a prompt.

    Args:
        prompt: What was asked.
        a: Answer of A.
        b: Answer of B.
        tokens: A's tokens, as both read them.
    """

    prompt: ComparisonPrompt
    a: Answer
    b: Answer
    tokens: tuple[ReadToken, ...]

    @property
    def first_difference(self) -> int | None:
        """How many tokens the answers begin with together; None where they are the same."""
        if self.a.token_ids == self.b.token_ids:
            return None
        pairs = zip(self.a.token_ids, self.b.token_ids, strict=False)
        shorter = min(len(self.a.token_ids), len(self.b.token_ids))
        return next((i for i, (a, b) in enumerate(pairs) if a != b), shorter)

    @property
    def kl(self) -> float:
        """Mean divergence over A's answer, nats a token."""
        return fmean(token.kl for token in self.tokens)


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two models.

    Args:
        name: Its folder, as it was given.
        backend: Name of what ran it.
        tokens: Tokens of all its answers.
        seconds: Time that they took, many at once; prompts included.
    """

    name: str
    backend: str
    tokens: int
    seconds: float

    @property
    def tokens_per_second(self) -> float:
        """Speed of all answers together."""
        return self.tokens / self.seconds


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two models, side by side.

    Args:
        a: The first model, the reference.
        b: The second model.
        answers: Of each prompt, in their order.
        fidelity: B against A, over all of A's answers.
    """

    a: Side
    b: Side
    answers: tuple[ComparedAnswers, ...]
    fidelity: Fidelity

    @property
    def same(self) -> int:
        """Prompts with the same answer, token by token."""
        return sum(one.first_difference is None for one in self.answers)

    @property
    def differences(self) -> list[int]:
        """Of each prompt whose answers differ, how many tokens they begin with together."""
        found = (one.first_difference for one in self.answers)
        return [place for place in found if place is not None]

    @property
    def expected(self) -> int:
        """Prompts whose answer was known."""
        return sum(one.prompt.expected is not None for one in self.answers)

    @property
    def as_expected(self) -> tuple[int, int]:
        """How many of these A answered so, and B; spaces around an answer do not count."""
        known = [
            (one.prompt.expected.strip(), one.a.text.strip(), one.b.text.strip())
            for one in self.answers
            if one.prompt.expected is not None
        ]
        return sum(text == a for text, a, _ in known), sum(text == b for text, _, b in known)
