"""The changelog: what is not released yet, and the notes of a version."""

from __future__ import annotations

import re

from .refused import RefusedError

UNRELEASED = "## [Unreleased]"
_HEADING = re.compile(r"^## .*$", re.MULTILINE)
_VERSION = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)", re.ASCII)


def section(text: str, heading: str) -> str:
    """What stands below a heading, up to the next one."""
    lines = [line for line in _HEADING.finditer(text) if line[0].startswith(heading)]
    if not lines:
        raise RefusedError(f"CHANGELOG.md has no {heading}: write one")
    following = _HEADING.search(text, lines[0].end())
    return text[lines[0].end() : following.start() if following else None].strip()


def released(text: str, version: str, day: str) -> str:
    """The changelog in which all that was not released is of a version, of a day (YYYY-MM-DD)."""
    if not re.search(r"^- ", section(text, UNRELEASED), re.MULTILINE):
        raise RefusedError(f"CHANGELOG.md says nothing below {UNRELEASED}: write what is new")
    if f"## [{version}]" in text:
        raise RefusedError(f"CHANGELOG.md has {version} already: choose another version")
    return text.replace(UNRELEASED, f"{UNRELEASED}\n\n## [{version}] - {day}", 1)


def numbers(version: str) -> tuple[int, ...]:
    """Major, minor and patch."""
    found = _VERSION.fullmatch(version)
    if found is None:
        raise RefusedError(f"{version} is no version: write MAJOR.MINOR.PATCH, such as 1.4.0")
    return tuple(map(int, found.groups()))


def version_of(project: str) -> str:
    """The version in the text of pyproject.toml, which alone holds it."""
    return _stated(project)[1]


def with_version(project: str, version: str) -> str:
    """The text of pyproject.toml with another version.

    It may be what it was, for the first release.
    """
    found = _stated(project)
    if numbers(version) < numbers(found[1]):
        raise RefusedError(f"{version} is before {found[1]} of pyproject.toml: choose a later one")
    return project[: found.start(1)] + version + project[found.end(1) :]


def _stated(project: str) -> re.Match[str]:
    found = re.search(r'^version = "(.+)"$', project, re.MULTILINE)
    if found is None:
        raise RefusedError('pyproject.toml has no version: write version = "0.1.0"')
    return found
