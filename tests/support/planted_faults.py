"""Plugins that are right, and the same ones with one fault each, which the contract suites find."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from nanoaccel.runtime.sampling.plugged import ProcessorOptions
from nanoaccel.runtime.speculation.drafters import Draft, DrafterOptions
from nanoaccel.runtime.types.plan import Int64Array


class GoodDrafter:
    """Repeats the last token that has a follower: what followed it the last time."""

    name = "good"
    is_free = True
    priors: Sequence[float] = (0.5,)

    def __init__(self, options: DrafterOptions) -> None:
        self.vocab_size = options.vocab_size
        self.texts: dict[int, list[int]] = {}

    def guess(self, tokens: list[int]) -> int:
        before = [place for place, token in enumerate(tokens[:-1]) if token == tokens[-1]]
        return tokens[before[-1] + 1] if before else tokens[-1]

    def propose(self, drafts: Sequence[Draft]) -> None:
        for draft in drafts:
            self.texts[draft.request_id] = draft.tokens.tolist()
            draft.add(self.guess(self.texts[draft.request_id]), 0)

    def finish(self, request_id: int, tokens: Int64Array, num_prompt: int) -> None:  # noqa: ARG002
        self.texts.pop(request_id, None)

    def close(self) -> None:
        self.texts.clear()


class WrongVocabulary(GoodDrafter):
    def guess(self, tokens: list[int]) -> int:
        return super().guess(tokens) + 1


class UnknownConfidence(GoodDrafter):
    def propose(self, drafts: Sequence[Draft]) -> None:
        for draft in drafts:
            draft.add(self.guess(draft.tokens.tolist()), 1)


class FailsInTheThirdCall(GoodDrafter):
    calls = 0

    def propose(self, drafts: Sequence[Draft]) -> None:
        self.calls += 1
        if self.calls == 3:
            raise RuntimeError("third")
        super().propose(drafts)


class MixesRequestsOfOneCall(GoodDrafter):
    def propose(self, drafts: Sequence[Draft]) -> None:
        for draft in drafts:
            draft.add(self.guess(drafts[-1].tokens.tolist()), 0)


class LeavesStateToTheNext(GoodDrafter):
    def guess(self, tokens: list[int]) -> int:  # noqa: ARG002
        every = [token for text in self.texts.values() for token in text]
        return max(every, key=every.count)

    def finish(self, request_id: int, tokens: Int64Array, num_prompt: int) -> None:
        pass


class SharesStateOfTheClass(GoodDrafter):
    seen: ClassVar[list[int]] = []

    def guess(self, tokens: list[int]) -> int:
        self.seen.append(tokens[0])
        return self.seen[len(self.seen) // 2]


class NeverForgets(GoodDrafter):
    def finish(self, request_id: int, tokens: Int64Array, num_prompt: int) -> None:
        pass


class KeepsTheView(GoodDrafter):
    def propose(self, drafts: Sequence[Draft]) -> None:
        for draft in drafts:
            kept = self.__dict__.setdefault("views", {}).setdefault(draft.request_id, draft.tokens)
            draft.add(int(kept[-1]), 0)

    def finish(self, request_id: int, tokens: Int64Array, num_prompt: int) -> None:  # noqa: ARG002
        self.__dict__.setdefault("views", {}).pop(request_id, None)


class WritesIntoTheText(GoodDrafter):
    def propose(self, drafts: Sequence[Draft]) -> None:
        drafts[0].tokens[-1] = 0


class ClosesOnce(GoodDrafter):
    def close(self) -> None:
        del self.texts


class CannotFinishWhatItNeverSaw(GoodDrafter):
    def finish(self, request_id: int, tokens: Int64Array, num_prompt: int) -> None:  # noqa: ARG002
        del self.texts[request_id]


class GoodPolicy:
    """Least frequently used, with ageing."""

    def __init__(self) -> None:
        self.clock = 0.0

    def priority(self, uses: int, depth: int) -> float:  # noqa: ARG002
        return self.clock + uses

    def evicted(self, priority: float) -> None:
        self.clock = max(self.clock, priority)


class ForgetsToAge(GoodPolicy):
    def evicted(self, priority: float) -> None:
        pass


class SharesItsClock(GoodPolicy):
    clocks: ClassVar[list[float]] = [0.0]

    def priority(self, uses: int, depth: int) -> float:  # noqa: ARG002
        return self.clocks[0] + uses

    def evicted(self, priority: float) -> None:
        self.clocks[0] = max(self.clocks[0], priority)


class GivesNoNumber(GoodPolicy):
    def priority(self, uses: int, depth: int) -> float:
        return float("nan") if depth > 1000 else super().priority(uses, depth)


class FallsWithUse(GoodPolicy):
    def priority(self, uses: int, depth: int) -> float:
        return self.clock + depth - uses


class GoodProcessor:
    """Makes tokens of the output less likely."""

    def __init__(self, options: ProcessorOptions) -> None:
        self.penalty = float(options.values.get("penalty", 1.0))
        self.seen: list[int] = []

    def apply(self, row: NDArray[np.float32], position: int) -> None:  # noqa: ARG002
        for token in self.seen:
            row[token] -= self.penalty

    def accept(self, token_id: int) -> None:
        self.seen.append(token_id)

    def copy(self) -> GoodProcessor:
        twin = type(self)(
            ProcessorOptions(
                values={"penalty": self.penalty}, prompt_ids=(), end_ids=(), vocab_size=0
            )
        )
        twin.seen = list(self.seen)
        return twin


class SharesWhatWasSeen(GoodProcessor):
    all_seen: ClassVar[list[int]] = []

    def __init__(self, options: ProcessorOptions) -> None:
        super().__init__(options)
        self.seen = self.all_seen


class CopiesByReference(GoodProcessor):
    def copy(self) -> GoodProcessor:
        return self


class CountsApplications(GoodProcessor):
    def apply(self, row: NDArray[np.float32], position: int) -> None:
        super().apply(row, position)
        self.penalty += 0.5


class ForbidsEverything(GoodProcessor):
    def apply(self, row: NDArray[np.float32], position: int) -> None:
        super().apply(row, position)
        if position == 20:
            row[:] = -np.inf


class Draws(GoodProcessor):
    def apply(self, row: NDArray[np.float32], position: int) -> None:  # noqa: ARG002
        row += np.random.default_rng().normal(0, 5, row.size).astype(np.float32)
