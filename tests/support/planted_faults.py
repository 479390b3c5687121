"""Plugins that are right, and the same ones with one fault each, which the contract suites find."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nanoaccel.calibration.datasets import Document, TextSource
from nanoaccel.errors import ConfigError
from nanoaccel.runtime.sampling.grammar import Translation
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


class GoodGrammar:
    """One of some words."""

    title = "list of words"

    def translate(self, source: str) -> Any:
        words = source.split(",")
        if not all(word.isidentifier() for word in words):
            raise ValueError("it is no list of words")
        return Translation("regex", "|".join(map(re.escape, words)))


class HasNoTitle(GoodGrammar):
    title = ""


class WritesAnUnknownForm(GoodGrammar):
    def translate(self, source: str) -> Any:
        form: Any = "ebnf"
        return Translation(form, super().translate(source).text)


class GivesBareText(GoodGrammar):
    def translate(self, source: str) -> Any:
        return super().translate(source).text


class WritesNoExpression(GoodGrammar):
    def translate(self, source: str) -> Any:
        return Translation("regex", f"({super().translate(source).text}")


class RemembersSources(GoodGrammar):
    def __init__(self) -> None:
        self.words: list[str] = []

    def translate(self, source: str) -> Any:
        self.words.append(re.escape(source))
        return Translation("regex", "|".join(self.words))


class DiffersEachTime(GoodGrammar):
    numbers = count()

    def translate(self, source: str) -> Any:
        made = super().translate(source)
        return Translation("regex", f"{made.text}|{next(self.numbers)}")


class FailsOnOddSources(GoodGrammar):
    def translate(self, source: str) -> Any:
        return super().translate({"good": source}[source])


class GoodTexts:
    """Some documents."""

    title = "some texts"

    def __new__(cls, reference: str, column: str | None) -> Any:
        if column is not None:
            raise ConfigError(f"there is no column {column!r}")
        return cls.open(reference)

    @classmethod
    def open(cls, reference: str) -> Any:
        return TextSource(cls.title, cls.documents(reference))

    @classmethod
    def documents(cls, reference: str) -> Iterator[Any]:
        yield from (Document(f"{reference} {number}") for number in range(3))


class HasNoDocuments(GoodTexts):
    @classmethod
    def documents(cls, reference: str) -> Iterator[Any]:  # noqa: ARG003
        yield from ()


class GivesStrings(GoodTexts):
    @classmethod
    def documents(cls, reference: str) -> Iterator[Any]:
        yield from (document.text for document in super().documents(reference))


class GivesAnIterator(GoodTexts):
    @classmethod
    def open(cls, reference: str) -> Any:
        return cls.documents(reference)


class IsNameless(GoodTexts):
    title = ""


class GivesBlankText(GoodTexts):
    @classmethod
    def documents(cls, reference: str) -> Iterator[Any]:
        yield from super().documents(reference)
        yield Document("  ")


class ReadsOnce(GoodTexts):
    kept: ClassVar[list[Any]] = []

    @classmethod
    def documents(cls, reference: str) -> Iterator[Any]:
        if not cls.kept:
            cls.kept.append(super().documents(reference))
        found: Iterator[Any] = cls.kept[0]
        return found


class IsAnotherTextEachTime(GoodTexts):
    numbers = count()

    @classmethod
    def documents(cls, reference: str) -> Iterator[Any]:
        return super().documents(f"{reference} {next(cls.numbers)}")


class BreaksOff(GoodTexts):
    @classmethod
    def documents(cls, reference: str) -> Iterator[Any]:
        yield from super().documents(reference)
        raise RuntimeError("third")


class IgnoresTheColumn(GoodTexts):
    def __new__(cls, reference: str, column: str | None) -> Any:  # noqa: ARG004
        return cls.open(reference)
