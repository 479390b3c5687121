"""Times methods from outside, each moment once."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, Generic, TypeVar

Name = TypeVar("Name", bound=str)


class NestedClock(Generic[Name]):
    """Gives each moment to the innermost of the parts that are open.

    Args:
        now: Gives the time in seconds.

    Attributes:
        spans: Name, begin and end of each piece, one behind the other.
    """

    def __init__(self, now: Callable[[], float] = time.perf_counter) -> None:
        self._now = now
        self._open: list[Name] = []
        self._since = 0.0
        self.spans: list[tuple[Name, float, float]] = []

    def enter(self, name: Name) -> None:
        """A part begins."""
        self._cut()
        self._open.append(name)

    def leave(self) -> None:
        """The innermost part ends."""
        self._cut()
        self._open.pop()

    def take(self) -> list[tuple[Name, float, float]]:
        """The spans so far; they are forgotten."""
        spans, self.spans = self.spans, []
        return spans

    def _cut(self) -> None:
        now = self._now()
        if self._open and now > self._since:
            self.spans.append((self._open[-1], self._since, now))
        self._since = now

    def around(self, name: Name, method: Callable[..., Any]) -> Callable[..., Any]:
        """A method whose time is a part."""

        def timed(*arguments: Any, **options: Any) -> Any:
            self.enter(name)
            try:
                return method(*arguments, **options)
            finally:
                self.leave()

        return timed


def replace_attribute(stack: ExitStack, owner: Any, name: str, value: Any) -> None:
    """Set an attribute until the stack is closed; what was there before comes back as it was."""
    own = vars(owner)
    if name in own:
        stack.callback(setattr, owner, name, own[name])
    else:
        stack.callback(delattr, owner, name)
    setattr(owner, name, value)
