from __future__ import annotations

import pytest

from benchmarks.harness.engines import ENGINES
from benchmarks.harness.exports import RANDOM_MODEL
from benchmarks.harness.passes import Case, cases
from benchmarks.harness.results import Row
from benchmarks.peers.targets import LLAMA, PLAIN, ROWS, Target, lines, targets_of


@pytest.mark.parametrize("row", ROWS)
def test_every_row_has_targets_of_known_engines(row: str) -> None:
    for model in ("sample", RANDOM_MODEL):
        targets = targets_of(row, model)
        assert {name for t in targets for name in (t.ours, t.theirs)} <= ENGINES.keys()
        assert all(target.least > 1 for target in targets)


def test_a_target_holds_where_the_median_ratio_reaches_it() -> None:
    row = Row("decode", "tokens/s", True, {PLAIN: [130.0, 150.0, 99.0], LLAMA: [100.0] * 3})
    reached, missed = lines(row, [Target(PLAIN, LLAMA, 1.3), Target(PLAIN, LLAMA, 1.31)])
    assert (reached[-1], missed[-1]) == ("yes", "no")
    assert str(reached[5]).startswith("1.30 (")


def test_passes_stand_behind_their_past() -> None:
    plan = Case("", sequences=3, tokens=4, past=70).plan(slot_blocks=5, vocabulary=9)
    assert plan.past_lens.tolist() == [70] * 3
    assert plan.block_ids.tolist() == [0, 1, 2, 5, 6, 7, 10, 11, 12]
    assert len(plan.logits_rows) == 12
    assert plan.token_ids.max() < 9


def test_only_the_last_token_of_a_prompt_has_logits() -> None:
    (prompt,) = [case for case in cases(256, 6000) if case.is_prompt]
    assert len(prompt.plan(slot_blocks=200, vocabulary=9).logits_rows) == 1
