"""How a request is treated, independent of its content."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nanoaccel.errors import ConfigError
from nanoaccel.registry import DRAFTERS, did_you_mean
from nanoaccel.runtime.kv import CacheEviction
from nanoaccel.runtime.types.values import as_bool, as_float, as_int, as_text, take_types
from nanoaccel.text import ChatOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestOptions:
    """Scheduling options of a request, independent of its content. None is the default.

    Args:
        priority: Rank in the queue; higher goes first, and among equals the first to come.
        timeout: Seconds from submission after which it ends with finish_reason "timeout" and the
            text so far; None never.
        cache_eviction: Bound on the tokens that it keeps in the cache; None is what ``LLM`` was
            given.
        speculation: Drafters of the ``LLM`` that may propose its tokens: "auto" is all, "off" none,
            else a name.
        chat: Options of the chat template, such as tools and documents; only for messages.
        adapter: Name of the adapter that it is computed with; None is the model alone.
        progress: Whether to tell, before the first token, its place in the queue and how much of
            its prompt is computed: in chunks without text.

    Raises:
        ConfigError: A value is of the wrong type or out of range.

    Examples:
        >>> from nanoaccel import LLM, RequestOptions
        >>> options = RequestOptions(priority=1, timeout=30)
        >>> with LLM("bundle") as llm:
        ...     output = llm.generate("Once upon a time", options=options)
        >>> output.finish_reason in ("stop", "length")
        True
    """

    priority: int = 0
    timeout: float | None = None
    cache_eviction: CacheEviction | None = None
    speculation: str = "auto"
    chat: ChatOptions | None = None
    adapter: str | None = None
    progress: bool = False

    def __post_init__(self) -> None:
        take_types(self, _REQUEST_TYPES)
        check_speculation(self.speculation)
        if not isinstance(self.chat, ChatOptions | None):
            raise ConfigError(f"chat={self.chat!r:.80} is unknown", "Pass ChatOptions(...)")
        if self.timeout is not None and not self.timeout > 0:
            raise ConfigError(
                f"timeout={self.timeout} is out of range", "It is in seconds, above 0"
            )


def check_speculation(value: str) -> None:
    """Raises ConfigError unless it is "auto", "off", or the name of a drafter."""
    if value in ("auto", "off"):
        return
    known = ["auto", "off", *DRAFTERS.names()]
    if value not in known:
        raise ConfigError(f"speculation={value!r} is unknown", did_you_mean(value, known))


def as_eviction(name: str, value: object) -> CacheEviction:
    if isinstance(value, CacheEviction):
        return value
    raise ConfigError(
        f"{name}={value!r:.80} is no CacheEviction", f"Write {name}=CacheEviction(512)"
    )


_REQUEST_TYPES: dict[str, Callable[[str, Any], object]] = {
    "priority": as_int,
    "timeout": as_float,
    "cache_eviction": as_eviction,
    "speculation": as_text,
    "adapter": as_text,
    "progress": as_bool,
}
