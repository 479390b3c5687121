"""Installs of what is released, each in an environment of its own, that answer from a bundle."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from collections.abc import Mapping, Sequence
from pathlib import Path

from .bill import Installed
from .refused import RefusedError

ROOT = Path(__file__).resolve().parents[2]
_ANSWER = """
import sys
from nanoaccel import LLM, SamplingParams
from nanoaccel.runtime.native import find_operators

with LLM(sys.argv[1]) as llm:
    output = llm.generate("The tide", SamplingParams(max_tokens=8, ignore_eos=True))
assert output.usage.completion_tokens == 8, output
assert (find_operators().library is not None) == (sys.argv[2] == "operators"), find_operators()
"""
_MODEL = """
import sys
from pathlib import Path
from nanoaccel.testing.tiny_models import write_model

write_model(Path(sys.argv[1]))
"""
_INSTALLED = """
import json
from importlib.metadata import distributions

def licence(metadata):
    return metadata.get("License-Expression") or (metadata.get("License") or "").split("\\n")[0]

own = ("pip", "setuptools", "nanoaccel")
rows = {(one.name, one.version, licence(one.metadata) or None) for one in distributions()}
print(json.dumps(sorted((row for row in rows if row[0] not in own), key=str)))
"""


def run(
    command: Sequence[str | Path], *, cwd: Path = ROOT, environment: Mapping[str, str] | None = None
) -> str:
    """Run a program; what it printed.

    Raises:
        RefusedError: It failed; what it said stands on standard error.
    """
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        print(done.stdout, file=sys.stderr)
        raise RefusedError(f"{' '.join(map(str, command[:4]))} failed: see above")
    return done.stdout


def tiny_bundle(folder: Path) -> Path:
    """A bundle of a tiny random model for ONNX Runtime."""
    run([sys.executable, "-c", _MODEL, folder / "model"])
    weights = ("--weights", "int8", "--runtime", "onnx")
    run(
        [sys.executable, "-m", "nanoaccel", "export", folder / "model", folder / "bundle", *weights]
    )
    return folder / "bundle"


def try_install(archive: Path, bundle: Path, folder: Path, *, operators: bool) -> list[Installed]:
    """Install in a new environment and answer; what was installed beside it.

    Args:
        archive: A wheel or a source distribution.
        bundle: What to open.
        folder: Of the environment.
        operators: Whether it must have NanoAccel's operators.
    """
    venv.create(folder, with_pip=True, symlinks=os.name != "nt")
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    bare = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    install = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    pins = ("--constraint", ROOT / "constraints.txt")
    run([python, *install, *pins, f"{archive}[onnx]"], cwd=folder, environment=bare)
    expected = "operators" if operators else "stock"
    run([python, "-c", _ANSWER, bundle, expected], cwd=folder, environment=bare)
    found = json.loads(run([python, "-c", _INSTALLED], cwd=folder, environment=bare))
    return [Installed(*row) for row in found]
