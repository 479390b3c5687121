"""A drafter with what is known of it: how often it is right, what it costs, when to try it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from nanoaccel.runtime.speculation.acceptance import AcceptanceEstimator, Experience
from nanoaccel.runtime.speculation.controller import Controller, StepShape
from nanoaccel.runtime.speculation.draft_cost import NEAR, DraftCost, Probe
from nanoaccel.runtime.speculation.drafters import Draft, Drafter, StateReader
from nanoaccel.runtime.types.plan import Int64Array

# Guesses for one request in a step at most.
MAX_DRAFT = 15
# Tokens over which reading a long text must pay: it may end any time.
_HORIZON = 64
# Guesses that are tried when nothing is known of what they cost.
_FIRST_TRY = 3


@dataclass(slots=True)
class _Student:
    """What is known of a drafter for one request.

    Args:
        belief: In its guesses.
        probe: When to try it.
        read: Tokens of the text that it has read.
    """

    belief: AcceptanceEstimator
    probe: Probe = field(default_factory=Probe)
    read: int = 0


class DrafterState:
    """Asks a drafter for guesses where they promise to pay.

    Args:
        drafter: Which.
        clock: Gives the time in seconds.

    Attributes:
        drafter: As given.
        reader: The same, if it reads what the target computed.
    """

    def __init__(self, drafter: Drafter, clock: Callable[[], float]) -> None:
        self.drafter = drafter
        self.reader = drafter if isinstance(drafter, StateReader) else None
        self.students: dict[int, _Student] = {}
        self._clock = clock
        self._experience = Experience(drafter.priors)
        self._cost = DraftCost()
        self._newcomer = False  # one text a step is read from far behind: that takes its time

    @property
    def seconds_per_guess(self) -> float:
        """What each of three guesses in a row for one request costs; 0 before there was one."""
        return self._cost.guesses(1).seconds(3) / 3

    def begin(
        self,
        request_id: int,
        tokens: Int64Array,
        limit: int,
        controller: Controller,
        shape: StepShape,
        rival: float,
    ) -> Draft | None:
        """An empty draft for a request, unless it would not pay.

        Args:
            request_id: Whose.
            tokens: i64[n], all it has.
            limit: Tokens that it may still get, less one.
            controller: Knows what pays.
            shape: The step, without prompts.
            rival: Tokens a second that other guesses for this request promise.
        """
        if limit < 1:
            return None
        student, most = self._student(request_id), min(limit, MAX_DRAFT)
        if self.drafter.is_free:
            return Draft(
                request_id, tokens, most, student.belief.chance, (controller.least_chance,)
            )
        cost = self._cost.guesses(shape.writers)
        lag = len(tokens) - student.read
        if lag > NEAR and self._newcomer:
            return None
        reading = self._cost.reading(lag)
        outlook = student.belief.outlook()
        expected = [outlook**count for count in range(1, most + 1)]
        promise = controller.promise(expected, shape, cost.shared(shape.writers))
        if promise.rate == 0:
            return None  # nothing is known of the target's passes
        affordable = controller.affordable(cost, reading) if self._cost.is_known else _FIRST_TRY
        most = min(most, affordable)
        saves = promise.saving(rival) * min(limit, _HORIZON)
        if most > 0 and promise.count > 0 and saves > reading:
            student.probe.reset()
        elif most > 0 and student.probe.due():
            most = 1
        else:
            return None
        self._newcomer |= lag > NEAR
        floors = controller.floors(most, shape, cost, promise.rate)
        return Draft(request_id, tokens, most, student.belief.chance, floors, outlook)

    def propose(self, drafts: Sequence[Draft]) -> float:
        """Let the drafter fill drafts; the seconds that count."""
        if not drafts:
            return 0.0
        self._newcomer = False
        begun = self._clock()
        self.drafter.propose(drafts)
        if self.drafter.is_free:
            return 0.0
        seconds = self._clock() - begun
        guesses = max(len(draft.proposed) for draft in drafts)
        lag = max(draft.lag for draft in drafts)
        self._cost.observe(len(drafts), guesses, lag, seconds)
        for draft in drafts:
            student = self._student(draft.request_id)
            student.read = len(draft.tokens) if draft.proposed else student.read + draft.lag
        return seconds

    def learn(self, draft: Draft, given: Sequence[int]) -> None:
        """Compare guesses with what the target drew, up to the first wrong one."""
        belief = self._student(draft.request_id).belief
        for guess, evidence, token in zip(draft.proposed, draft.evidence, given, strict=False):
            belief.note(evidence, guess == token)
            if guess != token:
                break

    def forget(self, request_id: int) -> None:
        """A request has ended."""
        self.students.pop(request_id, None)

    def _student(self, request_id: int) -> _Student:
        found = self.students.get(request_id)
        if found is None:
            found = self.students[request_id] = _Student(AcceptanceEstimator(self._experience))
        return found
