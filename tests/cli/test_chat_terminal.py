"""A chat on a real terminal: Ctrl-C and Ctrl-D typed as keys."""

from __future__ import annotations

import json
import os
import re
import select
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX terminal")

CTRL_C = b"\x03"
CTRL_D = b"\x04"
PATIENCE = 60.0


class Terminal:
    """A program on a terminal, seen from the keyboard and the screen."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        import pty

        self._process, self._screen = pty.fork()
        if self._process == 0:
            os.execve(command[0], command, environment)
        self.seen = ""
        self.code = 0

    def type(self, keys: bytes) -> None:
        os.write(self._screen, keys)

    def interrupt_prompt(self) -> None:
        """Ctrl-C, once the program waits for a key.

        Between the echo of a key and the wait for the next one, readline does not see it.
        """
        deadline = time.monotonic() + PATIENCE
        while psutil.Process(self._process).status() != psutil.STATUS_SLEEPING:
            assert time.monotonic() < deadline, "the program never waits for a key"
            time.sleep(0.01)
        self.type(CTRL_C)

    def wait_for(self, pattern: str) -> str:
        """Read until the pattern stands in what was not waited for yet, and take it off."""
        deadline = time.monotonic() + PATIENCE
        while (found := re.search(pattern, self.seen)) is None:
            assert time.monotonic() < deadline, f"no {pattern!r} in {self.seen[-500:]!r}"
            if select.select([self._screen], [], [], 1.0)[0]:
                self.seen += os.read(self._screen, 4096).decode(errors="replace")
        self.seen = self.seen[found.end() :]
        return found[0]

    def leave(self, keys: bytes) -> int:
        """Type until the program has ended and give its exit code.

        More than once: a Ctrl-C between readline's prompt and its wait for a key goes unseen
        until the next key.
        """
        deadline = time.monotonic() + PATIENCE
        self.type(keys)
        while time.monotonic() < deadline:
            if not select.select([self._screen], [], [], 1.0)[0]:
                self.type(keys)
                continue
            try:
                if not os.read(self._screen, 4096):
                    break
            except OSError:  # Linux says so at the end of a terminal
                break
        return self.close()

    def close(self) -> int:
        """End the program if it still runs, and give its exit code."""
        if self._process != 0:
            os.close(self._screen)  # hangs up
            self.code = os.waitstatus_to_exitcode(os.waitpid(self._process, 0)[1])
            self._process = 0
        return self.code


@pytest.fixture
def chat(tiny_bundle: Path, processes: Any) -> Iterator[Terminal]:
    command = processes.command_line("chat", tiny_bundle, "--max-tokens", 3900, "--ignore-eos")
    terminal = Terminal(command, {**processes.environment, "TERM": "dumb"})
    terminal.wait_for("Ctrl-D leaves\r\n")
    terminal.wait_for("> ")
    yield terminal
    terminal.close()


def test_terminal_ctrl_c_stops_the_answer_and_not_the_chat(chat: Terminal) -> None:
    chat.type(b"hi\r")
    chat.wait_for("hi\r\n")
    chat.wait_for(r"(?s).{20}")
    chat.type(CTRL_C)
    chat.type(b"/stats\r")
    tokens = re.findall(r"\d+", chat.wait_for(r"last answer \d+ tokens; context \d+ of 4096"))
    assert 0 < int(tokens[0]) < 3900
    assert chat.leave(b"/exit\r") == 0


@pytest.mark.parametrize("key", [CTRL_C, CTRL_D])
def test_terminal_ctrl_c_twice_or_d_at_the_prompt_leaves(key: bytes, chat: Terminal) -> None:
    assert chat.leave(key * 2) == 0


def test_terminal_ctrl_c_clears_what_was_typed(chat: Terminal) -> None:
    chat.type(b"never said")
    chat.wait_for("never said")
    chat.interrupt_prompt()
    chat.wait_for("Ctrl-C again leaves")
    chat.wait_for("> ")
    chat.type(b"/stats\r")
    chat.wait_for("nothing was said yet")
    assert chat.leave(b"/exit\r") == 0


def test_terminal_takes_a_pasted_text_as_one_message(chat: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "talk.json"
    chat.type(b"/set max_tokens 1\r")
    chat.wait_for("max_tokens is 1")
    chat.wait_for("> ")
    chat.type(b"one\rtwo\rthree\r")
    chat.wait_for("the answer was cut")
    chat.wait_for("> ")
    chat.type(f"/save {file}\r".encode())
    chat.wait_for("saved 2 messages")
    assert json.loads(file.read_text())["messages"][0]["content"] == "one\ntwo\nthree"
    assert chat.leave(b"/exit\r") == 0
