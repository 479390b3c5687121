"""What may wait in a queue at the same time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from nanoaccel.errors import QueueFullError


class Queued(Protocol):
    """A completion that waits, or would."""

    @property
    def index(self) -> int:
        """Its index among the completions of its prompt."""
        ...

    @property
    def num_prompt(self) -> int:
        """Tokens of its prompt."""
        ...


@dataclass(slots=True)
class QueueLimits:
    """Bounds of a queue.

    Args:
        max_waiting: Requests at most.
        max_tokens: Tokens of their prompts at most, the prompt of several completions counted once;
            None is no limit. A queue that is empty takes one prompt of any length.
        refused: Requests that were refused so far.
    """

    max_waiting: int
    max_tokens: int | None = None
    refused: int = 0

    def check(self, requests: Sequence[Queued], queue: Sequence[Queued]) -> None:
        """Refuse the completions of a prompt if there is no room for all of them.

        Args:
            requests: The completions.
            queue: What waits already.

        Raises:
            QueueFullError: The queue is full; the message names the bound.
        """
        full = self._full(requests, queue)
        if full is not None:
            self.refused += len(requests)
            raise full

    def _full(self, requests: Sequence[Queued], queue: Sequence[Queued]) -> QueueFullError | None:
        room = max(0, self.max_waiting - len(queue))
        if len(requests) > room:
            return QueueFullError(
                f"max_waiting={self.max_waiting}: the queue has room for {room} requests, not for "
                f"{len(requests)}",
                "Try again later, or raise max_waiting",
            )
        if self.max_tokens is None or not queue:
            return None
        waiting = sum(one.num_prompt for one in queue if one.index == 0)
        added = requests[0].num_prompt
        if waiting + added <= self.max_tokens:
            return None
        return QueueFullError(
            f"max_queued_tokens={self.max_tokens}: prompts of {waiting} tokens wait already, and "
            f"this one has {added}",
            "Try again later, or raise max_queued_tokens",
        )
