"""How many engines there should be: a policy for Ray Serve's autoscaler."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol

RUNNING, WAITING_TOKENS = "running", "waiting_tokens"


class Context(Protocol):
    """What the policy reads of Ray Serve's ``AutoscalingContext``.

    Attributes:
        target_num_replicas: How many there shall be now.
        aggregated_metrics: What each replica told of itself, by name.
    """

    target_num_replicas: int
    aggregated_metrics: Mapping[str, Mapping[Any, float]] | None


class QueuedTokens:
    """As many engines as run full, and one more for every so many tokens in their queues.

    Ray Serve applies its own bounds and delays to the result.

    Args:
        max_running: Requests that fill an engine.
        queued_tokens: Tokens in the queues that call for one more.
    """

    def __init__(self, max_running: int, queued_tokens: int) -> None:
        self._max_running = max_running
        self._queued_tokens = queued_tokens

    def __call__(self, context: Context) -> tuple[int, dict[str, Any]]:
        """The number of engines, and no state."""
        told = context.aggregated_metrics
        if not told or RUNNING not in told:  # none has told of itself yet
            return context.target_num_replicas, {}
        running = sum(told[RUNNING].values())
        waiting = sum(told.get(WAITING_TOKENS, {}).values())
        return math.ceil(running / self._max_running + waiting / self._queued_tokens), {}
