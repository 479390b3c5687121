from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from nanoaccel.cli.ui.prompt import read_prompt
from nanoaccel.errors import ConfigError, EmptyPromptError


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def _pipe(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))


def test_prompt_is_the_argument(monkeypatch: pytest.MonkeyPatch) -> None:
    _pipe(monkeypatch, b"not me")
    assert read_prompt("hello\n", None) == "hello\n"


@pytest.mark.parametrize("argument", [None, "-"])
def test_prompt_is_read_from_standard_input(
    argument: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    _pipe(monkeypatch, "zwei Wörter\n\n".encode())
    assert read_prompt(argument, None) == "zwei Wörter\n"


def test_prompt_is_read_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal())
    file = tmp_path / "prompt.txt"
    file.write_bytes(b"\xef\xbb\xbfone\r\n")
    assert read_prompt(None, file) == "one"


def test_prompt_that_is_missing_names_the_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal())
    with pytest.raises(ConfigError, match=r"no prompt.*--file"):
        read_prompt(None, None)


def test_prompt_without_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(ConfigError, match="no prompt"):
        read_prompt(None, None)
    with pytest.raises(EmptyPromptError):
        read_prompt("-", None)


def test_prompt_given_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="both"):
        read_prompt("a", tmp_path)


@pytest.mark.parametrize("content", [b"", b"\n", b"\r\n"])
def test_prompt_that_is_empty_is_refused(content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    _pipe(monkeypatch, content)
    with pytest.raises(EmptyPromptError):
        read_prompt(None, None)


def test_prompt_that_is_no_utf8_names_the_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _pipe(monkeypatch, b"ab\xffc")
    with pytest.raises(ConfigError, match="standard input is not UTF-8: byte 0xff at offset 2"):
        read_prompt(None, None)
    file = tmp_path / "latin.txt"
    file.write_bytes(b"\xe4")
    with pytest.raises(ConfigError, match=r"latin\.txt is not UTF-8"):
        read_prompt(None, file)


def test_prompt_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.txt cannot be read: No such file"):
        read_prompt(None, tmp_path / "none.txt")
