"""A drafter that knows the text, and is right as often as it is told to be."""

from __future__ import annotations

import random
from collections.abc import Sequence

from nanoaccel.runtime.speculation.drafters import Draft, DrafterOptions
from nanoaccel.runtime.types.plan import Int64Array

_POSITIONS = 16


class Record:
    """Texts that the benchmark recorded; the drafter, which the engine makes, reads them.

    Attributes:
        acceptance: Chance that a draft token is right; None when there is no oracle.
    """

    def __init__(self) -> None:
        self.acceptance: float | None = None
        self._texts: dict[tuple[int, ...], tuple[int, ...]] = {}

    def remember(self, prompt: Sequence[int], text: Sequence[int]) -> None:
        """What follows a prompt, as the target wrote it."""
        self._texts[tuple(prompt)] = tuple(text)

    def text_of(self, prompt: Sequence[int]) -> tuple[int, ...]:
        """What follows a prompt; nothing when it was never remembered."""
        return self._texts.get(tuple(prompt), ())


record = Record()


class OracleDrafter:
    """Drafts the recorded text; each draft token is right with the same chance."""

    name = "oracle"
    is_free = True

    def __init__(self, options: DrafterOptions) -> None:
        self.priors = (0.5,) * _POSITIONS
        self._vocab_size = options.vocab_size
        self._random = random.Random(0)
        self._prompts: dict[int, tuple[int, ...]] = {}

    def propose(self, drafts: Sequence[Draft]) -> None:
        assert record.acceptance is not None
        for draft in drafts:
            tokens = tuple(draft.tokens.tolist())
            prompt = self._prompts.setdefault(draft.request_id, tokens)
            rest = record.text_of(prompt)[len(tokens) - len(prompt) :]
            for position, token in enumerate(rest[:_POSITIONS]):
                right = self._random.random() < record.acceptance
                drafted = token if right else (token + 1) % self._vocab_size
                if not draft.add(drafted, position):
                    break

    def finish(self, request_id: int, tokens: Int64Array, num_prompt: int) -> None:  # noqa: ARG002
        self._prompts.pop(request_id, None)

    def close(self) -> None:
        self._prompts.clear()
