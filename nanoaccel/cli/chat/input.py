"""What a user says in a chat: a line, a pasted text, or lines between triple quotes."""

from __future__ import annotations

import select
import sys
from contextlib import suppress

from nanoaccel.cli.ui.prompt import decode_utf8
from nanoaccel.errors import ConfigError

PROMPT = "> "
_MORE = "... "
_QUOTES = '"""'
# Seconds within which the next line of a pasted text is there; nobody types that fast.
_PASTE = 0.05


class ChatInput:
    """Standard input, message by message.

    Args:
        terminal: Whether somebody types; of piped input each line is a message.
    """

    def __init__(self, terminal: bool) -> None:
        self._terminal = terminal
        if terminal:
            _load_line_editing()

    def message(self) -> str | None:
        """The next message without blanks around it; None at the end of the input.

        Raises:
            ConfigError: It is not UTF-8.
            KeyboardInterrupt: Ctrl-C was pressed; what was typed is gone.
        """
        # Lines typed while an answer came are messages of their own.
        typed_ahead = self._terminal and is_waiting(0)
        line = self._line(PROMPT)
        if line is None:
            return None
        if line.lstrip().startswith(_QUOTES):
            return self._quoted(line.lstrip().removeprefix(_QUOTES))
        lines = [line]
        while self._terminal and not typed_ahead and is_waiting(_PASTE):
            line = self._line(_MORE)
            if line is None:
                break
            lines.append(line)
        return "\n".join(lines).strip()

    def _quoted(self, first: str) -> str:
        """Lines up to the one that ends with triple quotes."""
        lines, line = [], first
        while not line.rstrip().endswith(_QUOTES):
            lines.append(line)
            read = self._line(_MORE)
            if read is None:
                break
            line = read
        else:
            lines.append(line.rstrip().removesuffix(_QUOTES))
        return "\n".join(lines).strip()

    def _line(self, prompt: str) -> str | None:
        if sys.stdin is None:
            return None
        try:
            if self._terminal:
                return input(prompt)
            content = sys.stdin.buffer.readline()
        except EOFError:
            return None
        except UnicodeDecodeError:
            raise ConfigError("the line is not UTF-8", "Type it again") from None
        return decode_utf8(content, "standard input").rstrip("\r\n") if content else None


def is_waiting(seconds: float) -> bool:
    """Whether something typed is there to read, or comes in so many seconds."""
    if sys.platform == "win32":
        import msvcrt

        return bool(msvcrt.kbhit())
    try:
        return bool(select.select([sys.stdin], [], [], seconds)[0])
    except (OSError, ValueError):  # it has no file
        return False


def _load_line_editing() -> None:
    with suppress(ImportError):  # Windows has no readline; its console edits lines itself
        import readline

        readline.parse_and_bind("set enable-bracketed-paste on")
