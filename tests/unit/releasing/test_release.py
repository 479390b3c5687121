"""`scripts/release` in a repository of its own, as far as it goes without a build."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("cyclonedx")

SCRIPTS = Path(__file__).resolve().parents[3] / "scripts"
NEWS = "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- A thing.\n"
GIT = ("git", "-c", "user.name=x", "-c", "user.email=x@example.org")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A repository whose project does not build."""
    folder = tmp_path / "tree"
    shutil.copytree(SCRIPTS / "releasing", folder / "scripts" / "releasing")
    shutil.copy(SCRIPTS / "release", folder / "scripts" / "release")
    (folder / ".gitignore").write_text("dist/\n__pycache__/\n")
    (folder / "CHANGELOG.md").write_text(NEWS)
    (folder / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "none"\n'
        '[project]\nname = "x"\nversion = "1.0.0"\n'
    )
    for command in (("init", "-q"), ("add", "-A"), ("commit", "-qm", "All"), ("tag", "v1.0.0")):
        subprocess.run([*GIT, *command], cwd=folder, check=True)
    return folder


def refused(tree: Path, version: str) -> str:
    done = subprocess.run(
        [sys.executable, tree / "scripts" / "release", version],
        cwd=tree, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    return done.stderr.splitlines()[-1]


def test_release_refuses_a_tree_with_changes(tree: Path) -> None:
    (tree / "new.txt").touch()
    assert refused(tree, "1.1.0") == "release: the tree has changes: commit or stash them"


def test_release_refuses_a_tag_that_is_there(tree: Path) -> None:
    assert refused(tree, "1.0.0").startswith("release: the tag v1.0.0 is there")


def test_release_that_fails_leaves_the_tree_as_it_was(tree: Path) -> None:
    assert refused(tree, "1.1.0").endswith("failed: see above")
    status = subprocess.run(
        ["git", "status", "--porcelain"], cwd=tree, capture_output=True, text=True, check=True
    )
    assert status.stdout == ""
    assert (tree / "CHANGELOG.md").read_text() == NEWS
