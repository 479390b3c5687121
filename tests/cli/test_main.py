from __future__ import annotations

import sys
from typing import Any

import pytest

import nanoaccel
from nanoaccel.cli.main import run

COMMANDS = ("quickstart", "export", "generate", "chat", "bench", "inspect", "cpu", "doctor")


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_help_names_every_command(arguments: list[str], run_cli: Any) -> None:
    ended = run_cli(*arguments)
    assert ended.code == 0
    assert all(command in ended.out for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command(command: str, run_cli: Any) -> None:
    ended = run_cli(command, "--help")
    assert ended.code == 0
    assert f"nanoaccel {command}" in ended.out


def test_version(run_cli: Any) -> None:
    ended = run_cli("--version")
    assert (ended.code, ended.out) == (0, f"{nanoaccel.__version__}\n")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["generat"], "'generat'"),
        (["generate"], "missing argument 'bundle'"),
        (["generate", "b", "--tempo", "3"], "no such option"),
        (["generate", "b", "--top-k", "many"], "--top-k"),
        (["inspect", "a", "b"], "unexpected extra argument"),
    ],
)
def test_wrong_usage_is_one_line_and_code_2(arguments: list[str], told: str, run_cli: Any) -> None:
    ended = run_cli(*arguments)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("error: ")
    assert ended.err.count("\n") == 1
    assert ended.err.endswith("--help\n")
    assert ended.err.count("Did you mean '") <= 1
    assert told in ended.err.lower()


@pytest.mark.parametrize("arguments", [["--debug", "inspect", "no"], ["inspect", "no", "--debug"]])
def test_debug_prints_a_traceback_wherever_it_stands(arguments: list[str], run_cli: Any) -> None:
    ended = run_cli(*arguments)
    assert ended.code == 1
    assert ended.err.startswith("Traceback")
    assert ended.err.splitlines()[-1].startswith("error: no is not a folder")


def test_debug_after_two_dashes_is_text(letters: Any, run_cli: Any) -> None:
    ended = run_cli("generate", letters, "--raw", "--max-tokens", 1, "--", "--debug")
    assert (ended.code, ended.out) == (0, "h\n")


def test_run_exits_with_the_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["nanoaccel", "--version"])
    with pytest.raises(SystemExit) as end:
        run()
    assert end.value.code == 0
    assert capsys.readouterr().out == f"{nanoaccel.__version__}\n"
