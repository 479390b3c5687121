"""Wheels, and clean environments to install them in."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# This tree, and the measurement of what of it is tested, which slows pip down.
_OURS = ("PYTHONPATH", "COVERAGE_PROCESS")


def run_any(
    *command: str | Path, cwd: Path = ROOT, environment: Mapping[str, str] = os.environ
) -> subprocess.CompletedProcess[str]:
    """Run a program, which may fail, without this tree on its path; its coverage does not count."""
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={key: value for key, value in environment.items() if not key.startswith(_OURS)},
        capture_output=True,
        text=True,
        check=False,
    )


def run(*command: str | Path, cwd: Path = ROOT, environment: Mapping[str, str] = os.environ) -> str:
    """Run a program; what it printed, or a failed test that shows it."""
    done = run_any(*command, cwd=cwd, environment=environment)
    assert done.returncode == 0, f"{command[0]} failed\n{done.stdout}\n{done.stderr}"
    return done.stdout


def build_wheel(source: Path, out: Path, environment: Mapping[str, str] = os.environ) -> Path:
    """The wheel of a source tree."""
    command = (sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, source)
    run(*command, environment=environment)
    (built,) = out.glob("*.whl")
    return built


def python_of(folder: Path) -> Path:
    """The Python of an environment."""
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def clean_python(
    folder: Path, *installs: tuple[str | Path, ...], base: Path = Path(sys.executable)
) -> Path:
    """The Python of a new environment, after some runs of ``pip install``.

    Args:
        folder: A new one.
        installs: Arguments of each run.
        base: The Python that it is made of.
    """
    run(base, "-m", "venv", "--without-pip", folder)
    python = python_of(folder)
    pip = (sys.executable, "-m", "pip", "--python", python, "install")
    for arguments in installs:
        quiet = ("--quiet", "--disable-pip-version-check", "--no-compile")
        run(*pip, *quiet, "--constraint", ROOT / "constraints.txt", *arguments)
    return python
