"""Where a prompt comes from: the command line, a file or standard input."""

from __future__ import annotations

import sys
from pathlib import Path

from nanoaccel.errors import ConfigError, EmptyPromptError

_STDIN = "-"


def read_prompt(argument: str | None, file: Path | None) -> str:
    """The prompt; of what is read, the last line's end is left out.

    Args:
        argument: As typed; ``-`` is standard input, and so is None when it is no terminal.
        file: A file to read instead.

    Raises:
        ConfigError: There is none, there are two, or it cannot be read.
        EmptyPromptError: It is empty.
    """
    if argument is not None and file is not None:
        raise ConfigError(f"a prompt and --file {file} are both given", "Give one of them")
    if file is not None:
        text = _read_file(file)
    elif argument == _STDIN or (argument is None and _is_piped()):
        text = _without_line_end(decode_utf8(_read_stdin(), "standard input"))
    elif argument is None:
        raise ConfigError(
            "there is no prompt", "Write it after the bundle, name a --file, or pipe it in"
        )
    else:
        text = argument
    if not text:
        raise EmptyPromptError("the prompt is empty", "Give it at least one word")
    return text


def decode_utf8(content: bytes, origin: str) -> str:
    """The text in some bytes.

    Raises:
        ConfigError: They are no UTF-8; the message names the origin.
    """
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{origin} is not UTF-8: byte 0x{content[error.start]:02x} at offset {error.start}",
            "Convert it to UTF-8",
        ) from None


def _read_file(file: Path) -> str:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"--file {file} cannot be read: {error.strerror}", "Name a text file"
        ) from error
    return _without_line_end(decode_utf8(content, f"--file {file}"))


def _is_piped() -> bool:
    return sys.stdin is not None and not sys.stdin.isatty()


def _read_stdin() -> bytes:
    return b"" if sys.stdin is None else sys.stdin.buffer.read()


def _without_line_end(text: str) -> str:
    return text.removesuffix("\n").removesuffix("\r")
