"""What speculation has brought, in numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from nanoaccel.runtime.speculation.ledger import Ledger
from nanoaccel.runtime.types.draft_tokens import DraftCounter


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeculationCounters:
    """A snapshot. All numbers are of steps in which some request got a token.

    Args:
        steps: Such steps.
        draft_steps: Those that checked draft tokens.
        rows: How often a request got tokens from a step.
        tokens: Those tokens; without draft tokens one each time. What a grammar forces is not
            counted.
        drafted_tokens: Draft tokens that were verified.
        accepted_tokens: Those that were accepted, and so came for free.
        reached: By position in a draft, from the first: tokens before which all were accepted.
        accepted: By position: those of them that were accepted too.
        saved_steps: Time saved so far, in plain steps of one request; below 0 when it was lost.
        balance: Time that may still be lost, in the same unit.
        seconds_per_guess: By drafter that takes time to draft, what a draft token costs it now for
            one request.
    """

    steps: int = 0
    draft_steps: int = 0
    rows: int = 0
    tokens: int = 0
    drafted_tokens: int = 0
    accepted_tokens: int = 0
    reached: tuple[int, ...] = ()
    accepted: tuple[int, ...] = ()
    saved_steps: float = 0.0
    balance: float = 0.0
    seconds_per_guess: Mapping[str, float] = field(default_factory=dict)

    @property
    def tokens_per_step(self) -> float:
        """Tokens that a request gets from a step on average; 1 without draft tokens."""
        return self.tokens / self.rows if self.rows else 1.0

    @property
    def acceptance(self) -> float:
        """Share of the checked draft tokens that were right; 0 when there were none."""
        return self.accepted_tokens / self.drafted_tokens if self.drafted_tokens else 0.0


class SpeculationRecord:
    """Counts what happens; all numbers rise."""

    def __init__(self) -> None:
        self._steps = 0
        self._draft_steps = 0
        self._tokens = 0
        self._requests = DraftCounter()

    def note_step(self, num_drafts: int) -> None:
        """Note a step that checked so many draft tokens."""
        self._steps += 1
        self._draft_steps += num_drafts > 0

    def note_request(self, checked: int, accepted: int, tokens: int) -> None:
        """Note that of so many draft tokens for a request so many were right, and what it got."""
        if tokens == 0:
            return
        self._tokens += tokens
        self._requests.begin(checked)
        self._requests.accept(accepted)

    def snapshot(
        self, ledger: Ledger, seconds_per_guess: Mapping[str, float]
    ) -> SpeculationCounters:
        """What was noted so far, with the state of the account and of the drafters."""
        requests = self._requests
        reached, accepted = requests.by_position()
        return SpeculationCounters(
            steps=self._steps,
            draft_steps=self._draft_steps,
            rows=requests.steps,
            tokens=self._tokens,
            drafted_tokens=requests.drafted,
            accepted_tokens=requests.accepted,
            reached=reached,
            accepted=accepted,
            saved_steps=ledger.saved,
            balance=ledger.balance,
            seconds_per_guess=seconds_per_guess,
        )
