from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nanoaccel.cli.kit.package import KINDS

ROOT = Path(__file__).parents[2]


def test_new_packages_pass_their_own_tests_and_the_linter(run_cli: Any, tmp_path: Path) -> None:
    packages = []
    for kind in KINDS:
        ended = run_cli("plugins", "new", kind, f"my-{kind.split('_')[0]}", "--out", tmp_path)
        assert ended.code == 0, ended.err
        packages.append(Path(ended.out.partition(": next")[0]))
    path = os.pathsep.join([str(ROOT), *(str(package / "src") for package in packages)])
    names = [str(package) for package in packages]
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "--import-mode=importlib"),
            *("-p", "nanoaccel.testing.plugin", *names),
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rules = ["--select", "E,F,I,UP,B", "--line-length", "100"]
    ruff = [sys.executable, "-m", "ruff", "check", "--isolated", *rules, *names]
    lint = subprocess.run(ruff, capture_output=True, text=True, check=False)
    assert lint.returncode == 0, lint.stdout


def test_new_package_names_its_group_and_says_how_it_is_used(run_cli: Any, tmp_path: Path) -> None:
    run_cli("plugins", "new", "eviction-policy", "oldest_first", "--out", tmp_path)
    package = tmp_path / "nanoaccel-oldest-first"
    project = (package / "pyproject.toml").read_text()
    assert '[project.entry-points."nanoaccel.eviction_policies.v1"]' in project
    assert 'oldest_first = "nanoaccel_oldest_first:OldestFirst"' in project
    assert 'eviction_policy="oldest_first"' in (package / "README.md").read_text()


@pytest.mark.parametrize(
    ("kind", "name", "told"),
    [
        ("drafters", "mine", "'drafters' is no kind of plugin. Did you mean 'drafter'?"),
        ("drafter", "Mine!", "the name 'Mine!' cannot be one of a plugin"),
        ("drafter", "class", "the name 'class' cannot be one of a plugin"),
        ("drafter", "ngram", "there is a drafter 'ngram'. Choose another name"),
        ("command", "generate", "there is a command 'generate'"),
        ("drafter", "taken", "nanoaccel-taken exists"),
    ],
)
def test_new_refuses_what_cannot_be(
    kind: str, name: str, told: str, run_cli: Any, tmp_path: Path
) -> None:
    (tmp_path / "nanoaccel-taken").mkdir()
    ended = run_cli("plugins", "new", kind, name, "--out", tmp_path)
    assert (ended.code, ended.out) == (2, "")
    assert told in ended.err
    assert [path.name for path in tmp_path.iterdir()] == ["nanoaccel-taken"]
