"""Drafts what followed the last two tokens the last time."""

from __future__ import annotations

from collections.abc import Sequence

from nanoaccel.runtime.speculation.drafters import Draft, DrafterContext, DrafterOptions
from nanoaccel.runtime.types.plan import Int64Array


class BigramDrafter:
    name = "bigram"
    is_free = True
    priors = (0.4,)

    def __init__(self, options: DrafterOptions) -> None:
        pass

    @staticmethod
    def applies(context: DrafterContext) -> bool:
        return True

    def propose(self, drafts: Sequence[Draft]) -> None:
        for draft in drafts:
            text = draft.tokens.tolist()
            followers = {tuple(text[at : at + 2]): text[at + 2] for at in range(len(text) - 2)}
            token = followers.get(tuple(text[-2:]))
            while token is not None and draft.add(token, 0):
                text.append(token)
                token = followers.get(tuple(text[-2:]))

    def finish(self, request_id: int, tokens: Int64Array, num_prompt: int) -> None:
        pass

    def close(self) -> None:
        pass
