from __future__ import annotations

import json
from typing import Any

import pytest
from support.plugins import Install

COMMANDS = """
from typing import Annotated
import typer

def hello(name: Annotated[str, typer.Option(help="Whom.")] = "you") -> None:
    "Say hello."
    typer.echo(f"hello {name}")

def no_function(): ...
no_function = 7
"""


@pytest.fixture(autouse=True)
def _disabled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NANOACCEL_DISABLE", "")


def test_plugins_without_any_says_how_to_begin(run_cli: Any) -> None:
    ended = run_cli("plugins")
    assert (ended.code, ended.out) == (0, "")
    assert "nanoaccel plugins new" in ended.err
    assert json.loads(run_cli("plugins", "--json").out) == []


def test_plugins_shows_what_is_installed_and_whether_it_loads(
    run_cli: Any, install_plugin: Install
) -> None:
    install_plugin("greeter", {"commands.v1": {"hello": "hello"}}, COMMANDS)
    install_plugin("old-drafts", {"drafters.v7": {"seven": "x"}}, "")
    install_plugin("broken", {"drafters.v1": {"bad": "x"}}, "import no_such_module")
    lines = {line.split()[1]: line for line in run_cli("plugins").out.splitlines()}
    assert "greeter 1.0" in lines["hello"]
    assert lines["hello"].endswith("used")
    assert "not used: it is for version 7 of the interface, this is 1" in lines["seven"]
    assert "No module named 'no_such_module'" in lines["bad"]
    (hello, *_) = json.loads(run_cli("plugins", "--json").out)
    assert (hello["name"], hello["interface"], hello["problem"]) == ("hello", 1, None)
    assert hello["seconds"] >= 0


def test_plugins_points_names_every_group(run_cli: Any) -> None:
    text = run_cli("plugins", "--points").out
    assert "nanoaccel.drafters.v1" in text
    assert "ngram" in text
    groups = [point["group"] for point in json.loads(run_cli("plugins", "--points", "--json").out)]
    assert "nanoaccel.logits_processors.v1" in groups


def test_command_of_a_plugin_runs_and_stands_in_the_help(
    run_cli: Any, install_plugin: Install
) -> None:
    install_plugin("greeter", {"commands.v1": {"hello": "hello"}}, COMMANDS)
    assert run_cli("hello", "--name", "keeper").out == "hello keeper\n"
    assert "Whom." in run_cli("hello", "--help").out
    text = run_cli("--help").out
    assert "Plugins" in text
    assert "Say hello." in text


def test_command_that_cannot_be_used_is_one_line_and_hurts_no_other(
    run_cli: Any, install_plugin: Install
) -> None:
    points = {"bad": "no_function", "inspect": "hello"}
    install_plugin("greeter", {"commands.v1": points}, COMMANDS)
    ended = run_cli("bad")
    assert ended.code == 1
    assert ended.err.startswith("error: command 'bad' of greeter 1.0 cannot be used: ")
    assert ended.err.count("\n") == 1
    assert run_cli("inspect", "no").err.startswith("error: no is not a folder")
    helped = run_cli("--help")
    assert helped.code == 0
    assert "switched off" in helped.err


@pytest.mark.parametrize("words", [["--disable", "hello"], ["--disable=greeter"]])
def test_disabled_plugin_is_not_used(
    words: list[str], run_cli: Any, install_plugin: Install
) -> None:
    install_plugin("greeter", {"commands.v1": {"hello": "hello"}}, COMMANDS)
    assert "not used: disabled" in run_cli(*words, "plugins").out
    ended = run_cli("hello", *words)
    assert (ended.code, ended.out) == (1, "")
    assert "is not used: disabled" in ended.err


def test_disabling_what_is_not_there_is_wrong_usage(run_cli: Any, install_plugin: Install) -> None:
    install_plugin("greeter", {"commands.v1": {"hello": "hello"}}, COMMANDS)
    ended = run_cli("plugins", "--disable", "hallo")
    assert ended.code == 2
    assert "no plugin 'hallo' to disable. Did you mean 'hello'?" in ended.err
