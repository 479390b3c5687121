"""The text of a request as its tokens come, up to a stop string."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from nanoaccel.text.detokenizer import Detokenizer
from nanoaccel.text.stop import StopMatcher


class OutputText:
    """Turns tokens into text that may be shown, and ends it at a stop string.

    A stop string may stand in the text that is shown, or in the text with the special tokens that
    are hidden in it: "<|im_end|>" ends a text although nobody sees it.

    Args:
        detokenizer: Detokenizer of the request.
        stops: The stop strings.
        hidden: Spelling of a token that the text is shown without; empty for all others.
    """

    def __init__(
        self, detokenizer: Detokenizer, stops: Sequence[str], hidden: Callable[[int], str]
    ) -> None:
        self._detokenizer = detokenizer
        self._hidden = hidden
        self._shown = StopMatcher(stops)
        self._whole = _WholeText(stops) if stops else None
        # What came and is not given out, and how much of it the text that is shown allows.
        self._text = ""
        self._free = 0

    @property
    def matched(self) -> bool:
        """Whether a stop string has ended the text."""
        return self.stop_string is not None

    @property
    def stop_string(self) -> str | None:
        """The stop string that has ended the text; None before."""
        if self._shown.matched is not None or self._whole is None:
            return self._shown.matched
        return self._whole.stop_string

    def push(self, token_id: int, may_stop: bool) -> str:
        """The text that may be shown after a token.

        Args:
            token_id: The token.
            may_stop: Whether a stop string may end the text here; before that, nothing is held
                back.
        """
        text = self._detokenizer.push((token_id,))
        if not may_stop or self._whole is None:
            return text
        self._take(text)
        hidden = self._hidden(token_id)
        if hidden:
            self._whole.push_hidden(hidden, self._detokenizer.pending())
        if self._whole.stop_string is not None and self._shown.matched is None:
            # What the other holds back stands before the stop string.
            text = self._detokenizer.flush()
            self._text += text
            self._free += len(self._shown.push(text)) + len(self._shown.flush())
        elif self._shown.matched is not None:
            self._whole.flush()
        return self._release()

    def finish(self) -> str:
        """The text that was held back, at the end of all tokens."""
        if self.matched:
            return ""
        text = self._detokenizer.flush()
        if self._whole is None:
            return text
        self._take(text)
        self._free += len(self._shown.flush())
        self._whole.flush()
        return self._release()

    def _take(self, text: str) -> None:
        assert self._whole is not None
        self._text += text
        self._free += len(self._shown.push(text))
        self._whole.push(text)

    def _release(self) -> str:
        assert self._whole is not None
        end = min(self._free, self._whole.free)
        text, self._text = self._text[:end], self._text[end:]
        self._free -= end
        self._whole.free -= end
        return text


class _WholeText:
    """Looks for stop strings in the text with its hidden tokens.

    Attributes:
        free: Characters that may be shown, of those that were not taken.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self.free = 0
        self._matcher = StopMatcher(stops)
        # Lengths of the parts that the matcher holds, and whether each is shown.
        self._parts: deque[tuple[int, bool]] = deque()
        # Characters that stood before a hidden token and come again when they are certain.
        self._ahead = 0

    @property
    def stop_string(self) -> str | None:
        """The one that was found; None before."""
        return self._matcher.matched

    def push(self, text: str) -> None:
        """Take text that is shown."""
        known = min(self._ahead, len(text))
        self._ahead -= known
        self._push(text[known:], shown=True)

    def push_hidden(self, token: str, pending: str) -> None:
        """Take a token that is not shown, and the text that waits before it."""
        self._push(pending[self._ahead :], shown=True)
        self._ahead = max(self._ahead, len(pending))
        self._push(token, shown=False)

    def flush(self) -> None:
        """The text is at its end."""
        self._count(len(self._matcher.flush()))

    def _push(self, text: str, shown: bool) -> None:
        if text:
            self._parts.append((len(text), shown))
            self._count(len(self._matcher.push(text)))

    def _count(self, released: int) -> None:
        while released > 0:
            length, shown = self._parts.popleft()
            step = min(length, released)
            released -= step
            self.free += step if shown else 0
            if step < length:
                self._parts.appendleft((length - step, shown))
