"""What the README and the documentation show is true of the code."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.pages import ROOT, WRITTEN, blocks, name_of, nanoaccel_lines, prose

SHOWN = [(name_of(page), line) for page in WRITTEN for line in nanoaccel_lines(page)]


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


def test_pages_show_every_command() -> None:
    import typer

    from nanoaccel.cli.main import app

    group: Any = typer.main.get_command(app)
    shown = {line[0] for _, line in SHOWN}
    hidden = {name for name, command in group.commands.items() if command.hidden}
    assert set(group.commands) - hidden <= shown


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
    text = prose(page)
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

    page = (ROOT / "docs" / "how-to" / "convert.md").read_text(encoding="utf-8")
    assert table_of_ways() in page
    for kind, meaning in KINDS.items():
        assert f"| {kind} | {meaning} |\n" in page
