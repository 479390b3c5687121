"""When a drafter is asked, and for how much: passes take 10 s, and 2 s a token."""

from __future__ import annotations

import numpy as np
import pytest

from nanoaccel.runtime.execution.scaled_curve import ScaledCurve
from nanoaccel.runtime.speculation.controller import Controller
from nanoaccel.runtime.speculation.draft_cost import NEAR
from nanoaccel.runtime.speculation.drafter_state import MAX_DRAFT, DrafterState
from nanoaccel.runtime.speculation.drafters import Draft
from nanoaccel.runtime.speculation.steps import StepShape
from nanoaccel.testing.drafters import Guesser, same

ALONE = StepShape(1, 1)


class Stage:
    """A drafter that is right or wrong as a test says, and takes its time.

    Args:
        prior: How often it is said to be right.
        is_free: Whether it takes no time.
        seconds: What each call takes.
    """

    def __init__(self, prior: float = 0.9, *, is_free: bool = False, seconds: float = 1.0) -> None:
        self.time = 0.0
        self._seconds = seconds
        drafter = Guesser(self._guess, prior=prior)
        drafter.is_free = is_free
        self.state = DrafterState(drafter, lambda: self.time)
        curve = ScaledCurve()
        curve.restore({1: 12.0, 2: 14.0, 8: 26.0, 16: 42.0})
        self.controller = Controller(curve)

    def _guess(self, draft: Draft) -> list[int]:
        self.time += self._seconds
        return list(same(1)(draft))

    def begin(
        self,
        request_id: int = 0,
        *,
        known: int = 4,
        limit: int = 100,
        shape: StepShape = ALONE,
        rival: Draft | None = None,
        group: bytes = b"",
    ) -> Draft | None:
        tokens = np.zeros(known, np.int64)
        return self.state.begin(request_id, tokens, limit, self.controller, shape, rival, group)

    def chance(self, request_id: int, group: bytes = b"") -> float:
        """What is expected of the first token of a new request."""
        draft = self.begin(request_id, group=group)
        assert draft is not None
        draft.add(1, 0)
        return draft.cumulative[0]

    def ask(self, request_id: int = 0, **options: int) -> Draft | None:
        """A step in which it may draft."""
        draft = self.begin(request_id, **options)  # type: ignore[arg-type]
        self.state.propose([] if draft is None else [draft])
        return draft


def test_free_drafter_is_always_asked() -> None:
    stage = Stage(0.01, is_free=True)
    assert stage.begin(limit=0) is None
    drafts = [stage.begin(limit=limit) for limit in (1, 100)]
    assert [draft.limit for draft in drafts if draft is not None] == [1, MAX_DRAFT]
    assert stage.state.propose([draft for draft in drafts if draft is not None]) == 0
    assert stage.state.seconds_per_guess == 0


def test_free_draft_ends_where_a_token_does_not_pay() -> None:
    stage = Stage(0.5, is_free=True)
    draft = stage.ask()
    assert draft is not None
    # A sixth of a plain step is what one more token takes.
    assert draft.cumulative == pytest.approx([0.5, 0.25, 0.125])


def test_costly_drafter_is_tried_a_little_before_its_cost_is_known() -> None:
    stage = Stage()
    first, second = stage.ask(), stage.ask()
    assert first is not None
    assert second is not None
    assert (first.limit, second.limit) == (3, MAX_DRAFT)
    assert stage.state.seconds_per_guess == pytest.approx(1 / 3, rel=0.5)


def test_costly_drafter_makes_no_more_than_the_account_allows() -> None:
    stage = Stage(seconds=6.0)
    stage.ask()
    stage.controller.ledger.settle(0.0, 2.5)  # six of 36 seconds are left
    draft = stage.begin()
    assert draft is not None
    assert draft.limit == 3


def test_time_of_a_costly_drafter_runs_from_the_first_question() -> None:
    stage = Stage(seconds=2.0)
    drafts = [stage.begin(0)]
    stage.time += 1.0
    drafts.append(stage.begin(1))
    asked = [draft for draft in drafts if draft is not None]
    assert len(asked) == 2
    assert stage.state.propose(asked) == pytest.approx(5)
    stage.time += 100.0
    assert stage.state.propose([]) == 0


def test_drafter_that_does_not_pay_is_tried_for_one_token_now_and_then() -> None:
    stage = Stage(0.02)
    limits = [draft and draft.limit for draft in (stage.ask() for _ in range(12))]
    assert [step for step, limit in enumerate(limits, 1) if limit is not None] == [4, 12]
    assert set(limits) == {None, 1}


def test_drafter_that_does_not_pay_follows_few_texts_only() -> None:
    for writers, follows in ((1, True), (2, True), (3, False)):
        stage = Stage(0.02)
        assert stage.begin(shape=StepShape(writers, writers)) is None
        assert stage.state.follows(0) is follows
    assert stage.state.follows(99), "nothing is known of it"


def test_drafter_does_not_pay_beside_a_better_draft_that_costs_nothing() -> None:
    stage = Stage(seconds=3.0)
    stage.ask()
    rival = Draft(0, np.zeros(4, np.int64), 15, lambda _: 0.97, (0.0,))
    while rival.add(1, 0):
        pass
    assert stage.begin() is not None
    assert stage.begin(rival=rival) is None


def test_one_text_a_step_is_read_from_far_behind() -> None:
    stage = Stage()
    far = NEAR + 1
    first, second, near = stage.begin(0, known=far), stage.begin(1, known=far), stage.begin(2)
    assert first is not None
    assert second is None
    assert near is not None
    stage.state.propose([first, near])
    assert stage.begin(1, known=far) is not None
    assert stage.begin(0, known=far + 1) is not None, "it has been read"


@pytest.mark.parametrize(
    ("seconds", "limit", "reads"), [(20.0, 64, True), (20.0, 2, False), (200.0, 64, False)]
)
def test_long_text_is_read_only_where_that_pays(seconds: float, limit: int, reads: bool) -> None:
    stage = Stage(seconds=seconds)
    first = stage.begin(0, known=500)
    assert first is not None
    first.lag = 500
    stage.state.propose([first])
    stage.controller.ledger.settle(100.0, 0.0)
    assert (stage.begin(1, known=500, limit=limit) is not None) == reads
    assert stage.begin(0, known=501) is not None, "that one was read"


def test_drafter_learns_up_to_the_first_wrong_token() -> None:
    stage = Stage(0.5, is_free=True)
    draft = stage.ask()
    assert draft is not None
    assert draft.proposed == [1, 1, 1]
    before = stage.chance(1)
    stage.state.learn(draft, [1, 2, 2])
    # One was right and one was wrong: the third was never reached.
    assert stage.chance(2) == pytest.approx(before, abs=0.01)
    stage.state.learn(draft, [2])
    assert stage.chance(3) < before - 0.03


def test_groups_of_requests_do_not_learn_from_each_other() -> None:
    stage = Stage(0.5, is_free=True)
    draft = stage.begin(0, group=b"a")
    assert draft is not None
    stage.state.propose([draft])
    for _ in range(20):
        stage.state.learn(draft, [1])
    assert stage.chance(1, b"a") > 0.6
    assert stage.chance(2, b"b") == 0.5
    for number in range(255):
        stage.chance(1000 + number, str(number).encode())
    assert stage.chance(3, b"a") == 0.5, "the group that was longest unused is forgotten"


def test_request_that_ended_is_forgotten() -> None:
    stage = Stage(is_free=True)
    assert stage.begin(5) is not None
    assert stage.state.requests.keys() == {5}
    for _ in range(2):
        stage.state.forget(5)
    assert stage.state.requests == {}
