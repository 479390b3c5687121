"""Commands that are not ours, or run a file of this repository: what they name is there."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from support.pages import PAGES, ROOT, commands_in, name_of, shell_lines

# Programs of others, which tests do not run. Another one is added here by hand.
OUTSIDE = {
    *("curl", "cp", "dmesg", "grep", "hf", "install", "openssl", "podman", "pre-commit", "pytest"),
    *("ray", "systemctl", "uv", "docker", "ollama", "llama-server", "llama-cli", "vllm"),
    *("optimum-cli", "llama-quantize", "llama-bench", "apt", "kubectl"),
}
COMMANDS = sorted(
    {
        (name_of(page), tuple(command))
        for page in PAGES
        for line in shell_lines(page)
        for command in commands_in(line)
        if Path(command[0]).name != "nanoaccel"
    }
)
_PLACEHOLDER = re.compile(r"[A-Z_]+=")


def wrong(command: tuple[str, ...]) -> str:
    """What a command names that is not there, or an empty text."""
    words = [word for word in command if not _PLACEHOLDER.match(word)]
    program = Path(words[0]).name
    checks: dict[str, Callable[[list[str]], str]] = {
        "python": _python,
        "python3": _python,
        "pip": _pip,
        "curl": _curl,
        "serve": _served,
        "": lambda _: "",  # a dot: what an environment brings
    }
    if program in checks:
        return checks[program](words[1:])
    if "/" in words[0]:
        return "" if (ROOT / words[0]).is_file() else f"{words[0]} is not there"
    named = [ROOT / word for word in words if word.startswith("deploy/") and "." in word]
    missing = [str(path) for path in named if not path.exists()]
    return "" if program in OUTSIDE and not missing else f"{program}: not known {missing}"


def _python(words: list[str]) -> str:
    if words[0] == "-c":
        compile(words[1], "python -c", "exec")
        return ""
    if words[0] != "-m":
        return "" if (ROOT / words[0]).is_file() else f"{words[0]} is not there"
    if not words[1].startswith("benchmarks."):
        return "" if words[1] in {"venv", "pip"} else f"{words[1]} is not known"
    file = ROOT / (words[1].replace(".", "/") + ".py")
    if not file.is_file():
        return f"{file} is not there"
    # Options of a benchmark may be added by what it imports.
    sources = [file, *(ROOT / "benchmarks").glob("harness/*.py"), *file.parent.glob("*.py")]
    text = "\n".join(source.read_text(encoding="utf-8") for source in sources)
    options = [word.strip("[]") for word in words[2:] if word.strip("[]").startswith("--")]
    return " ".join(option for option in options if f'"{option}"' not in text)


def _pip(words: list[str]) -> str:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    known = re.search(r"\[project.optional-dependencies\]\n(.*?)\n\[", text, re.DOTALL)
    assert known is not None
    extras = {*re.findall(r"^(\w+) = ", known[1], re.MULTILINE), "test"}
    asked = re.findall(r"\w+", " ".join(re.findall(r"\[([\w,]+)\]", " ".join(words))))
    return " ".join(one for one in asked if one not in extras)


def _curl(words: list[str]) -> str:
    routes = "\n".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "nanoaccel" / "server").rglob("*.py")
    )
    for at, word in enumerate(words):
        if word in {"-d", "--json"}:
            json.loads(words[at + 1])
    paths = [re.sub(r"^(?:https?://)?[\w.]+:\d+", "", word) for word in words if ":8080" in word]
    return " ".join(path for path in paths if f'"{path}"' not in routes)


def _served(words: list[str]) -> str:
    module, _, name = words[1].partition(":")
    path = ROOT / module.replace(".", "/")
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    tree = ast.parse(file.read_text(encoding="utf-8"))
    imported = {
        alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    return "" if name in imported else f"{module} has no {name}"


@pytest.mark.parametrize(("page", "command"), COMMANDS, ids=str)
def test_what_a_command_names_is_there(page: str, command: tuple[str, ...]) -> None:
    assert wrong(command) == "", page


@pytest.mark.parametrize(
    "line",
    [
        "python -m benchmarks.studies.no_such",
        "python -m benchmarks.studies.tuning BUNDLE --no-such",
        "scripts/no-such",
        "pip install '.[no_such]'",
        "curl http://127.0.0.1:8080/v1/no_such",
        "no-such-program",
    ],
)
def test_a_command_that_names_what_is_not_there_is_found(line: str) -> None:
    (command,) = commands_in(line)
    assert wrong(tuple(command))
