"""The pages of the documentation, and what they show: blocks, commands, links."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SITE = sorted((ROOT / "docs").rglob("*.md"))
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *SITE]
WRITTEN = [page for page in PAGES if page.name != "commands.md"]  # that one is generated
LINKING = [
    *PAGES,
    ROOT / "CHANGELOG.md",
    *(page for top in ("plugins", "deploy", "examples") for page in (ROOT / top).rglob("*.md")),
]

_FENCE = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```", re.DOTALL | re.MULTILINE)
_INLINE = re.compile(r"`(nanoaccel [^`]+)`")
_LINK = re.compile(r"\]\(([^)\s]+)\)|\b(?:src|href)=\"([^\"]+)\"")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_SEPARATORS = {"&&", "||", ";", "|"}


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def prose(page: Path) -> str:
    """A page without its fenced blocks; lines keep their numbers."""
    return _FENCE.sub(lambda block: "\n" * block.group().count("\n"), text_of(page))


def blocks(page: Path, *languages: str) -> list[str]:
    """The fenced blocks of a page in some languages."""
    return [body for _, language, body in _FENCE.findall(text_of(page)) if language in languages]


def shell_lines(page: Path) -> list[str]:
    """The lines of a page's shell blocks; those that end in a backslash are joined."""
    joined = [
        block.replace("\\\n", " ") for block in blocks(page, "sh", "bash", "shell", "console")
    ]
    return [line.removeprefix("$ ") for block in joined for line in block.splitlines()]


def commands_in(line: str) -> Iterator[list[str]]:
    """The words of each command of a shell line."""
    command: list[str] = []
    for word in [*shlex.split(line, comments=True), "&&"]:
        if word not in _SEPARATORS:
            command.append(word)
            continue
        if command:
            yield command
        command = []


def nanoaccel_lines(page: Path) -> Iterator[list[str]]:
    """The arguments of each ``nanoaccel`` that a page shows, in blocks and in running text."""
    for line in [*shell_lines(page), *_INLINE.findall(prose(page))]:
        for command in commands_in(line):
            if len(command) > 1 and Path(command[0]).name == "nanoaccel":
                yield command[1:]


def links(page: Path) -> list[str]:
    return [one or two for one, two in _LINK.findall(prose(page))]


def anchors(page: Path) -> set[str]:
    """Those that GitHub and Python-Markdown make from a page's headings."""
    return {_anchor(heading) for heading in _HEADING.findall(prose(page))}


def _anchor(heading: str) -> str:
    kept = re.sub(r"[^\w\s-]", "", heading.replace("`", "")).strip().lower()
    return re.sub(r"[\s]+", "-", kept)
