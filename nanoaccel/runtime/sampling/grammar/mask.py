"""Holds one text to a grammar, token by token."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from itertools import takewhile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanoaccel.errors import GenerationError

# How the error of a request begins whose grammar was too much for the library.
TOO_COMPLEX = "the grammar cannot be followed further"


class GrammarMask:
    """Leaves only the tokens that a grammar allows; a ``LogitsProcessor``.

    Where the grammar leaves one way to go on, the tokens of that way are those that the tokenizer
    would write: they are ``forced``, and no logits are looked at. All it does follows from the
    grammar and the accepted tokens, so a text is the same whatever was drafted, and a copy that
    accepts the same tokens is in the same state.

    Args:
        matcher: The library's parser, before the first token; it is this object's own.
        end_ids: Tokens that end the text: they are allowed where the grammar is complete.
        ignored_ids: Tokens that the library takes for ends, and that are never allowed here.
        num_tokens: Tokens that both the model and the tokenizer have; others are not allowed.
    """

    def __init__(
        self,
        matcher: Any,
        *,
        end_ids: Sequence[int],
        ignored_ids: Sequence[int],
        num_tokens: int,
    ) -> None:
        self._matcher = matcher
        self._ends = frozenset(end_ids)
        self._end_ids = np.array(end_ids, np.intp)
        self._ignored_ids = np.array(ignored_ids, np.intp)
        self._num_tokens = num_tokens
        self._forced: tuple[int, ...] | None = None

    @property
    def is_complete(self) -> bool:
        """Whether nothing may follow but the end."""
        stopped: bool = self._matcher.is_stopped()
        return stopped

    def forced(self) -> tuple[int, ...]:
        """The tokens that must come next, whatever the model says; often none.

        Raises:
            GenerationError: The library gave up.
        """
        if self._forced is None:
            found: list[int] = self._matcher.compute_ff_tokens()
            self._check()
            self._forced = self._known(found)
        return self._forced

    def count_valid(self, tokens: Sequence[int]) -> int:
        """How many of some draft tokens, from the first, the grammar allows."""
        known = self._known(tokens)
        count: int = self._matcher.validate_tokens(list(known)) if known else 0
        return count

    def apply(self, row: NDArray[np.float32], position: int) -> None:  # noqa: ARG002 - any position
        """Set the logits of a row f32[V] to -inf where the grammar does not allow the token.

        Raises:
            GenerationError: The library gave up.
        """
        bits = np.frombuffer(self._matcher.compute_bitmask(), np.uint8)
        self._check()
        banned = np.unpackbits(~bits, count=self._num_tokens, bitorder="little").view(np.bool_)
        ends = row[self._end_ids]
        np.copyto(row[: banned.size], -np.inf, where=banned)
        row[banned.size :] = -np.inf
        row[self._ignored_ids] = -np.inf
        if self._matcher.is_accepting():
            row[self._end_ids] = ends

    def accept(self, token_id: int) -> None:
        """Follow a token of the output; one that ends the text is no part of it.

        Raises:
            GenerationError: The grammar does not allow it, or the library gave up.
        """
        forced = self._forced
        self._forced = forced[1:] if forced is not None and forced[1:] else None
        if token_id not in self._ends:
            self._matcher.consume_token(token_id)
            self._check()

    def copy(self) -> GrammarMask:
        """A mask in the same state; neither notices what the other accepts."""
        twin = copy(self)
        twin._matcher = self._matcher.deep_copy()
        return twin

    def _known(self, tokens: Sequence[int]) -> tuple[int, ...]:
        """Those before the first one that is no token; the library would give up at it."""
        return tuple(takewhile(lambda token: token < self._num_tokens, tokens))

    def _check(self) -> None:
        if self._matcher.is_error():
            reason = " ".join(self._matcher.get_error().partition("<")[0].split())
            raise GenerationError(f"{TOO_COMPLEX}: {reason:.200}", "Simplify it")
