"""What a person types into a chat becomes messages."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import pytest

from nanoaccel.cli.chat import input as chat_input
from nanoaccel.cli.chat.dialogue import talk
from nanoaccel.cli.chat.input import ChatInput
from nanoaccel.cli.commands import chat as chat_file


class Keyboard:
    """Lines of a terminal; those of one list are there at once, as a pasted text is."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *pieces: list[object]) -> None:
        self._pieces = [list(piece) for piece in pieces]
        self.prompts: list[str] = []
        self.begun = False
        monkeypatch.setattr(builtins, "input", self._read)
        monkeypatch.setattr(chat_input, "is_waiting", self._is_waiting)

    def _read(self, prompt: str) -> str:
        self.prompts.append(prompt)
        while self._pieces and not self._pieces[0]:
            self._pieces.pop(0)
        if not self._pieces:
            raise EOFError
        self.begun = True
        line = self._pieces[0].pop(0)
        if isinstance(line, BaseException):
            raise line
        return str(line)

    def _is_waiting(self, _: float) -> bool:
        return self.begun and bool(self._pieces and self._pieces[0])


def test_chat_input_takes_a_pasted_text_as_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    keyboard = Keyboard(monkeypatch, ["def f():", "    return 1", "", "what is it?"], ["more"])
    source = ChatInput(terminal=True)
    assert source.message() == "def f():\n    return 1\n\nwhat is it?"
    assert source.message() == "more"
    assert source.message() is None
    assert keyboard.prompts == ["> ", "... ", "... ", "... ", "> ", "> "]


def test_chat_input_keeps_lines_typed_ahead_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    keyboard = Keyboard(monkeypatch, ["one", "two"])
    keyboard.begun = True
    source = ChatInput(terminal=True)
    assert [source.message(), source.message()] == ["one", "two"]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (['"""one', " two", 'three"""'], "one\n two\nthree"),
        (['"""', "one", "", "two", '"""'], "one\n\ntwo"),
        (['"""one"""'], "one"),
        (['"""never', "ended"], "never\nended"),
    ],
)
def test_chat_input_takes_lines_between_quotes(
    lines: list[object], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Keyboard(monkeypatch, *([line] for line in lines))
    assert ChatInput(terminal=True).message() == message


def test_chat_takes_piped_lines_between_quotes(letters: Path, run_cli: Any) -> None:
    ended = run_cli("chat", letters, "--max-tokens", 1, stdin=b'"""a\nb"""\nc\n')
    assert (ended.code, ended.out.count("\n")) == (0, 2)


def test_chat_ctrl_c_clears_the_line_and_two_in_a_row_leave(
    letters: Path, run_cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = KeyboardInterrupt
    Keyboard(monkeypatch, [stop()], ["hi"], [stop()], ["hello"], [stop()], [stop()], ["unread"])
    monkeypatch.setattr(chat_file, "talk", lambda conversation, _: talk(conversation, True))
    ended = run_cli("chat", letters, "--max-tokens", 2)
    assert (ended.code, ended.out) == (0, "ab\nab\n\n")
    assert ended.err.count("Ctrl-C again leaves") == 3
