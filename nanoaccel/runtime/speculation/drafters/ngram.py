"""Drafts as if a text went on as it did before (prompt lookup, Saxena 2023), or as others did."""

from __future__ import annotations

from collections.abc import Sequence

from nanoaccel.runtime.speculation.drafters.base import Draft, DrafterContext, DrafterOptions
from nanoaccel.runtime.speculation.drafters.ngram_index import MAX_MATCH, NgramIndex
from nanoaccel.runtime.types.plan import Int64Array

# The least match of each confidence bucket. Those of other texts follow those of the text itself.
_BUCKETS = (1, 2, 3, 4, 6, 9, 14, 24)
_PRIORS = (0.05, 0.15, 0.30, 0.40, 0.50, 0.60, 0.75, 0.85)
_BUCKET_OF = tuple(
    max(bucket for bucket, least in enumerate(_BUCKETS) if least <= max(length, 1))
    for length in range(MAX_MATCH + 1)
)


class NgramDrafter:
    """Looks for the longest, then latest position where the last tokens occurred, and copies on.

    Nothing is drafted where nothing matches. Confidence is the length of the match, which a draft
    token that turns out right makes longer by one.

    Args:
        options: With ``corpus_tokens``, it also looks in the latest texts of other requests.
    """

    name = "ngram"
    is_free = True

    def __init__(self, options: DrafterOptions) -> None:
        self.priors = _PRIORS * 2
        self._texts: dict[int, NgramIndex] = {}
        tokens = options.corpus_tokens
        self._corpus = _Corpus(tokens) if tokens > 0 else None

    @staticmethod
    def applies(context: DrafterContext) -> bool:  # noqa: ARG004
        """Always: it needs nothing but the text."""
        return True

    def propose(self, drafts: Sequence[Draft]) -> None:
        for draft in drafts:
            index = self._texts.setdefault(draft.request_id, NgramIndex())
            index.extend(draft.tokens[len(index.tokens) :].tolist())
            tail = index.tokens[-MAX_MATCH:]
            position, length = index.find(tail)
            if self._corpus is not None and length < MAX_MATCH:
                other, other_position, other_length = self._corpus.find(tail)
                if other_length > length:
                    _copy(draft, other, other_position, other_length, of_others=True)
                    continue
            if length > 0:
                _copy(draft, index, position, length, of_others=False)

    def finish(self, request_id: int, tokens: Int64Array, num_prompt: int) -> None:
        self._texts.pop(request_id, None)
        if self._corpus is not None:
            self._corpus.add(tokens[num_prompt:].tolist())

    def close(self) -> None:
        self._texts.clear()
        self._corpus = None


class _Corpus:
    """What was written lately: a text that still grows, and the one before it."""

    def __init__(self, max_tokens: int) -> None:
        self._max_tokens = -(-max_tokens // 2)
        self._texts = [NgramIndex(), NgramIndex()]

    def add(self, tokens: list[int]) -> None:
        latest = self._texts[0]
        if len(latest.tokens) + len(tokens) > self._max_tokens:
            latest = NgramIndex()
            self._texts = [latest, self._texts[0]]
        latest.extend(tokens[-self._max_tokens :])

    def find(self, tail: list[int]) -> tuple[NgramIndex, int, int]:
        """Where the longest match is, what follows it, and its length."""
        found = [(text, *text.find(tail)) for text in self._texts]
        return max(found, key=lambda match: match[2])


def _copy(draft: Draft, text: NgramIndex, position: int, length: int, *, of_others: bool) -> None:
    """Add what follows a match; beyond the end of the text, what was drafted repeats itself."""
    offset = len(_BUCKETS) if of_others else 0
    tokens = text.tokens[position : position + draft.limit]
    goes_on = True
    while goes_on:
        count = len(draft.proposed)
        if count == len(tokens):
            if of_others:
                return
            tokens += draft.proposed[len(tokens) - (len(text.tokens) - position) :]
        bucket = _BUCKET_OF[min(length + count, MAX_MATCH)]
        goes_on = draft.add(tokens[count], offset + bucket)
