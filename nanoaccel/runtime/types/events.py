"""What happens to a request, in order: started, tokens, and one end."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from nanoaccel.errors import CallbackError
from nanoaccel.runtime.types.outputs import Chunk

_log = logging.getLogger("nanoaccel.engine")

EventKind: TypeAlias = Literal["started", "progress", "token", "finished", "failed"]


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a request.

    Args:
        kind: "started" when the first step works on it, "token" for each chunk that is not the
            last, then "finished", or "failed" when its finish_reason is "error". A request that
            ends before it starts has its last event only. Before the first token comes "progress",
            where ``RequestOptions(progress=True)`` asks for it.
        request_id: Number of the request, rising with arrival; a prompt with ``n`` completions
            has n.
        chunk: The text and tokens of all kinds but "started".

    Examples:
        >>> from nanoaccel import LLM, SamplingParams
        >>> kinds = []
        >>> with LLM("bundle", on_event=lambda event: kinds.append(event.kind)) as llm:
        ...     output = llm.generate("Once", SamplingParams(max_tokens=2, ignore_eos=True))
        >>> kinds
        ['started', 'token', 'finished']
    """

    kind: EventKind
    request_id: int
    chunk: Chunk | None = None

    @classmethod
    def of(cls, request_id: int, chunk: Chunk) -> Event:
        """The event that a chunk is.

        Examples:
            >>> from nanoaccel import Chunk, Event
            >>> Event.of(7, Chunk("a time", (260, 673))).kind
            'token'
        """
        if chunk.progress is not None:
            return cls("progress", request_id, chunk)
        if chunk.finish_reason is None:
            return cls("token", request_id, chunk)
        return cls("failed" if chunk.finish_reason == "error" else "finished", request_id, chunk)


EventListener: TypeAlias = Callable[[Event], None]


class ListenerFactory(Protocol):
    """What a package registers to hear of requests: mostly a class with ``__call__``."""

    def __call__(self) -> EventListener:
        """Make the listener of an ``LLM``; the engine's thread calls it, so it must be quick."""
        ...


def log_callback_error(error: BaseException) -> None:
    """Say that a listener raised; further errors are only counted."""
    named = CallbackError(
        f"on_event raised {type(error).__name__}: {error}",
        "Requests go on; counters().callback_errors counts further ones",
    )
    _log.error("%s: %s", type(named).__name__, named, exc_info=error)
