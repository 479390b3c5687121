"""A drafter with what is known of it: how often it is right, what it costs, when to try it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from nanoaccel.runtime.speculation.acceptance import AcceptanceEstimator, AcceptanceHistory
from nanoaccel.runtime.speculation.controller import Controller
from nanoaccel.runtime.speculation.draft_cost import NEAR, DraftCost, DraftTokenCost, Probe
from nanoaccel.runtime.speculation.drafters import Draft, Drafter, StateReader
from nanoaccel.runtime.speculation.steps import Goodput, StepShape
from nanoaccel.runtime.types.plan import Int64Array

# Draft tokens for one request in a step at most.
MAX_DRAFT = 15
# Tokens over which reading a long text must pay: it may end any time.
_HORIZON = 64
# Requests that write together of which a drafter follows all texts, whether that pays or not.
_FEW = 2
# Chances that differ by less than one of so many steps count as equal.
_STEPS_OF_CHANCE = 64
# Groups of requests whose experience is kept apart.
_MOST_GROUPS = 256
# Draft tokens that are tried when nothing is known of what they cost.
_FIRST_TRY = 3


@dataclass(slots=True)
class _RequestState:
    """What is known of a drafter for one request.

    Args:
        estimator: Estimates the chance that its draft tokens are accepted.
        probe: When to try it.
        read: Tokens of the text that it has read.
        awake: Whether it shall follow the text now.
        trying: Whether a try is due, for which it may have to follow the text first.
    """

    estimator: AcceptanceEstimator
    probe: Probe = field(default_factory=Probe)
    read: int = 0
    awake: bool = True
    trying: bool = False


class DrafterState:
    """Asks a drafter for draft tokens where they are expected to pay.

    Args:
        drafter: The drafter.
        clock: Gives the time in seconds.

    Attributes:
        drafter: As given.
        reader: The same, if it reads what the target computed.
    """

    def __init__(self, drafter: Drafter, clock: Callable[[], float]) -> None:
        self.drafter = drafter
        self.reader = drafter if isinstance(drafter, StateReader) else None
        self.requests: dict[int, _RequestState] = {}
        self._clock = clock
        self._histories: dict[bytes, AcceptanceHistory] = {}
        self._cost = DraftCost()
        self._asked: float | None = None  # when it was, in this step
        self._expected: dict[tuple[int, int], Goodput] = {}
        self._newcomer = False  # one text a step is read from far behind: that takes its time

    @property
    def seconds_per_guess(self) -> float:
        """What each of three tokens drafted in a row for one request costs; 0 before the first."""
        return self._cost.per_token(1).seconds(3) / 3

    def begin(
        self,
        request_id: int,
        tokens: Int64Array,
        limit: int,
        controller: Controller,
        shape: StepShape,
        rival: Draft | None,
        group: bytes = b"",
    ) -> Draft | None:
        """An empty draft for a request, unless it would not pay.

        Args:
            request_id: Number of the request.
            tokens: i64[n], all it has.
            limit: Tokens that it may still get, less one.
            controller: Knows what pays.
            shape: The step, without prompts.
            rival: Another draft for this request.
            group: Requests of one group write alike: those that one adapter computes.
        """
        if limit < 1:
            return None
        if self._asked is None:
            self._asked = self._clock()
        if request_id not in self.requests:
            estimator = AcceptanceEstimator(self._history(group))
            self.requests[request_id] = _RequestState(estimator)
        state, most = self.requests[request_id], min(limit, MAX_DRAFT)
        if self.drafter.is_free:
            least = controller.least_chance(shape)
            return Draft(request_id, tokens, most, state.estimator.chance, (least,))
        cost = self._cost.per_token(shape.writers)
        lag = len(tokens) - state.read
        if lag > NEAR and self._newcomer:
            return None
        reading = self._cost.reading(lag)
        outlook = state.estimator.outlook()
        goodput = self._goodput(outlook, most, controller, shape, cost)
        if goodput.rate == 0:
            return None  # nothing is known of the target's passes
        affordable = controller.affordable(cost, reading) if self._cost.is_known else _FIRST_TRY
        most = min(most, affordable)
        pays = most > 0 and goodput.count > 0
        if pays:
            beaten = 0.0 if rival is None else controller.goodput(rival.cumulative, shape).rate
            pays = goodput.saving(beaten) * min(limit, _HORIZON) > reading
        if pays:
            state.probe.reset()
        elif most > 0 and (state.trying or state.probe.due(shape.writers)):
            state.trying, most = True, 1
        else:
            # One more text costs little to follow, many do.
            state.awake = shape.writers <= _FEW
            return None
        state.awake = True
        self._newcomer |= lag > NEAR
        floors = controller.floors(most, shape, cost, goodput.rate)
        return Draft(request_id, tokens, most, state.estimator.chance, floors, outlook)

    def _goodput(
        self,
        outlook: float,
        most: int,
        controller: Controller,
        shape: StepShape,
        cost: DraftTokenCost,
    ) -> Goodput:
        """What a request may expect; those that expect about the same share one answer a step."""
        key = round(_STEPS_OF_CHANCE * outlook), most
        if key not in self._expected:
            chance = min(key[0] / _STEPS_OF_CHANCE, 1.0)
            expected = [chance**count for count in range(1, most + 1)]
            found = controller.goodput(expected, shape, cost.shared(shape.writers))
            self._expected[key] = found
        return self._expected[key]

    def follows(self, request_id: int) -> bool:
        """Whether it shall see what the target computes for a request."""
        state = self.requests.get(request_id)
        return state is None or state.awake

    def propose(self, drafts: Sequence[Draft]) -> float:
        """Let the drafter fill drafts; the seconds that count."""
        self._expected.clear()
        begun, self._asked = self._asked, None
        if not drafts or begun is None:
            return 0.0
        self._newcomer = False
        self.drafter.propose(drafts)
        if self.drafter.is_free:
            return 0.0
        seconds = self._clock() - begun
        longest = max(len(draft.proposed) for draft in drafts)
        lag = max(draft.lag for draft in drafts)
        self._cost.observe(len(drafts), longest, lag, seconds)
        for draft in drafts:
            state = self.requests[draft.request_id]
            state.read = len(draft.tokens) if draft.proposed else state.read + draft.lag
            state.trying = state.trying and not draft.proposed
        return seconds

    def learn(self, draft: Draft, given: Sequence[int]) -> None:
        """Compare draft tokens with what the target drew, up to the first wrong one."""
        estimator = self.requests[draft.request_id].estimator
        for drafted, bucket, token in zip(draft.proposed, draft.buckets, given, strict=False):
            estimator.note(bucket, drafted == token)
            if drafted != token:
                break

    def forget(self, request_id: int) -> None:
        """A request has ended."""
        self.requests.pop(request_id, None)

    def _history(self, group: bytes) -> AcceptanceHistory:
        """How often it was right for a group of requests; of many groups, for the latest ones."""
        found = self._histories.pop(group, None)
        if found is None:
            found = AcceptanceHistory(self.drafter.priors)
        self._histories[group] = found
        if len(self._histories) > _MOST_GROUPS:
            del self._histories[next(iter(self._histories))]
        return found
