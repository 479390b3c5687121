"""The changelog of a release, and the version."""

from __future__ import annotations

import pytest

from scripts.releasing import changelog
from scripts.releasing.refused import RefusedError

TEXT = """# Changelog

## [Unreleased]

### Added

- A thing.

## [1.0.0] - 2026-01-01

### Fixed

- Another.
"""
PROJECT = '[project]\nname = "x"\nversion = "1.0.0"\n[tool]\ntarget-version = "py310"\n'


def test_released_moves_what_is_new_below_the_version() -> None:
    after = changelog.released(TEXT, "1.1.0", "2026-02-03")
    assert "## [Unreleased]\n\n## [1.1.0] - 2026-02-03\n\n### Added\n" in after
    assert changelog.section(after, "## [1.1.0]") == "### Added\n\n- A thing."
    assert changelog.section(after, "## [1.0.0]") == "### Fixed\n\n- Another."
    assert changelog.section(after, changelog.UNRELEASED) == ""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (TEXT.replace("- A thing.\n", ""), "says nothing below"),
        (TEXT.replace("## [Unreleased]", "## News"), r"has no ## \[Unreleased\]"),
        (TEXT.replace("1.0.0", "1.1.0"), "has 1.1.0 already"),
    ],
)
def test_released_refuses_a_changelog_without_news_or_with_the_version(
    text: str, message: str
) -> None:
    with pytest.raises(RefusedError, match=message):
        changelog.released(text, "1.1.0", "2026-02-03")


@pytest.mark.parametrize("version", ["1", "1.0", "v1.0.0", "1.0.0rc1", "01.0.0", "1.0.0 ", ""])
def test_numbers_refuse_what_is_no_semantic_version(version: str) -> None:
    with pytest.raises(RefusedError, match=r"MAJOR\.MINOR\.PATCH"):
        changelog.numbers(version)


def test_with_version_changes_the_project_s_alone() -> None:
    after = changelog.with_version(PROJECT, "1.10.0")
    assert after == PROJECT.replace('version = "1.0.0"', 'version = "1.10.0"')
    assert changelog.version_of(after) == "1.10.0"
    assert changelog.with_version(PROJECT, "1.0.0") == PROJECT


def test_with_version_refuses_an_earlier_one() -> None:
    with pytest.raises(RefusedError, match=r"0\.9\.9 is before 1\.0\.0"):
        changelog.with_version(PROJECT, "0.9.9")
