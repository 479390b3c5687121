"""What is counted of speculation."""

from __future__ import annotations

import pytest

from nanoaccel.runtime.speculation import SpeculationCounters
from nanoaccel.runtime.speculation.ledger import Ledger
from nanoaccel.runtime.speculation.record import SpeculationRecord


def test_record_counts_steps_rows_and_tokens() -> None:
    record, ledger = SpeculationRecord(), Ledger()
    for num_drafts in (0, 1, 5):
        record.note_step(num_drafts)
    record.note_request(3, 2, 3)
    record.note_request(0, 0, 1)
    record.note_request(2, 0, 0)  # sampling failed
    ledger.settle(3.0, 1.0)
    assert record.snapshot(ledger, {"head": 0.1}) == SpeculationCounters(
        steps=3,
        draft_steps=2,
        rows=2,
        tokens=4,
        drafted_tokens=3,
        accepted_tokens=2,
        reached=(1, 1, 1),
        accepted=(1, 1, 0),
        saved_steps=2.0,
        balance=ledger.balance,
        seconds_per_guess={"head": 0.1},
    )


def test_shares_of_nothing_are_those_of_plain_decoding() -> None:
    nothing = SpeculationCounters()
    assert (nothing.tokens_per_step, nothing.acceptance) == (1.0, 0.0)
    some = SpeculationCounters(rows=2, tokens=5, drafted_tokens=4, accepted_tokens=3)
    assert (some.tokens_per_step, some.acceptance) == pytest.approx((2.5, 0.75))
