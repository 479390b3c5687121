"""What the README and the documentation show is true of the code."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
WRITTEN = [page for page in PAGES if page.name != "commands.md"]  # that one is generated

_FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)
_INLINE = re.compile(r"`(nanoaccel [^`]+)`")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_SEPARATORS = {"&&", "||", ";", "|"}


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path, *languages: str) -> list[str]:
    """The fenced blocks of a page in some languages."""
    text = page.read_text(encoding="utf-8")
    return [body for language, body in _FENCE.findall(text) if language in languages]


def command_lines(page: Path) -> Iterator[list[str]]:
    """The arguments of each ``nanoaccel`` that a page shows, in blocks and in running text."""
    lines = [line for block in blocks(page, "sh", "bash") for line in block.splitlines()]
    without_blocks = _FENCE.sub("", page.read_text(encoding="utf-8"))
    for line in [*lines, *_INLINE.findall(without_blocks)]:
        command: list[str] = []
        for word in [*shlex.split(line, comments=True), "&&"]:
            if word not in _SEPARATORS:
                command.append(word)
                continue
            if len(command) > 1 and Path(command[0]).name == "nanoaccel":
                yield command[1:]
            command = []


SHOWN = [(name_of(page), line) for page in WRITTEN for line in command_lines(page)]


def anchor(heading: str) -> str:
    """As GitHub and Python-Markdown make it from a heading."""
    kept = re.sub(r"[^\w\s-]", "", heading.replace("`", "")).strip().lower()
    return re.sub(r"[\s]+", "-", kept)


def parse(arguments: list[str]) -> None:
    """Parse a command line without running it; click's error when it is wrong.

    In running text a command may stand alone, without its arguments.
    """
    import typer

    from nanoaccel.cli.main import app

    group: Any = typer.main.get_command(app)
    name, *rest = arguments
    if name.startswith("-"):
        assert name in {option for param in group.params for option in param.opts} | {"--help"}
        return
    assert name in group.commands, f"nanoaccel has no command {name}"
    if rest:
        group.commands[name].make_context(name, rest).close()


def test_command_reference_is_up_to_date() -> None:
    script = ROOT / "scripts" / "command_reference.py"
    done = subprocess.run(
        [sys.executable, str(script), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_relative_links_lead_somewhere(page: Path) -> None:
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    for link in _LINK.findall(text):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, fragment = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        if fragment:
            headings = _HEADING.findall(_FENCE.sub("", target.read_text(encoding="utf-8")))
            assert fragment in {anchor(heading) for heading in headings}, link


def test_pages_show_every_command() -> None:
    assert {"export", "generate", "chat", "inspect", "bench", "doctor", "quickstart"} <= {
        line[0] for _, line in SHOWN
    }


@pytest.mark.parametrize(
    ("page", "line"), SHOWN, ids=[f"{page}: {shlex.join(line)}" for page, line in SHOWN]
)
def test_shown_command_line_parses(page: str, line: list[str]) -> None:  # noqa: ARG001 - in the id
    parse(line)


def test_parse_refuses_an_unknown_option() -> None:
    with pytest.raises(Exception, match="No such option"):
        parse(["generate", "bundle", "prompt", "--no-such-option"])


@pytest.mark.parametrize("page", WRITTEN, ids=name_of)
def test_python_snippets_compile(page: Path) -> None:
    for number, block in enumerate(blocks(page, "python"), 1):
        compile(block, f"{name_of(page)}, snippet {number}", "exec")


def test_shown_names_are_public() -> None:
    import nanoaccel

    for page in WRITTEN:
        for block in blocks(page, "python"):
            for names in re.findall(r"^from nanoaccel import (.+)$", block, re.MULTILINE):
                for name in names.split(", "):
                    assert hasattr(nanoaccel, name), f"{name_of(page)} imports {name}"


_PATH = re.compile(r"`([\w/]+\.py)`")
_PATH_OR_FOLDER = re.compile(r"`([\w/]+(?:\.py|/))`")


@pytest.mark.parametrize("page", WRITTEN, ids=name_of)
def test_code_that_a_page_names_is_there(page: Path) -> None:
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    tops = ("nanoaccel", "native", "tests", "benchmarks", "examples")
    code = [path for top in tops for path in (ROOT / top, *(ROOT / top).rglob("*"))]
    code = [path for path in code if path.suffix == ".py" or path.is_dir()]
    known = {path.relative_to(ROOT).as_posix() for path in code}
    pattern = _PATH_OR_FOLDER if page.name == "architecture.md" else _PATH
    missing = [
        name
        for name in pattern.findall(text)
        if not any(f"/{one}".endswith(f"/{name.rstrip('/')}") for one in known)
    ]
    assert missing == []


def test_docs_show_the_ways_of_convert() -> None:
    from nanoaccel.exporters.convert.kinds import KINDS
    from nanoaccel.exporters.convert.ways import table_of_ways

    page = (ROOT / "docs" / "convert.md").read_text(encoding="utf-8")
    assert table_of_ways() in page
    for kind, meaning in KINDS.items():
        assert f"| {kind} | {meaning} |\n" in page
