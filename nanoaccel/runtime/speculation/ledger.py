"""The account from which speculation is paid: it keeps the loss bounded, whatever comes."""

from __future__ import annotations

# Speculation may cost this share of what plain decoding takes, for good, ...
ALLOWANCE = 0.02
# ... and beyond that so many plain steps at first, and of what it has gained at most.
START = 3.0
CAP = 6.0


class Ledger:
    """Time that speculation may still lose, in units of a plain step of one request.

    Each step brings in what plain decoding would have needed for the tokens that it gave, and a
    little more, and pays what it took. A step may speculate only if the account covers the loss
    should all draft tokens be rejected. So, whatever is accepted and rejected, all steps
    together take at most ``(1 + ALLOWANCE) * plain + START * unit``.

    Attributes:
        balance: Units left.
        saved: Units gained, less those lost, so far.
    """

    def __init__(self) -> None:
        self.balance = START
        self.saved = 0.0

    def covers(self, loss: float) -> bool:
        """Whether so many units may be lost."""
        return loss <= self.balance

    def settle(self, plain: float, spent: float) -> None:
        """Book a step.

        Args:
            plain: Units that plain decoding would have needed for the same tokens.
            spent: Units that they took.
        """
        self.saved += plain - spent
        self.balance = min(CAP, self.balance + (1 + ALLOWANCE) * plain - spent)
