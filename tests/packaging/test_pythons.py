"""The wheel installs and answers on every supported Python that this machine has.

Each takes a while, so they run nightly (``NANOACCEL_NIGHTLY=1``). ``NANOACCEL_PYTHONS`` names
interpreters that are not on the PATH as ``python3.N``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from support.wheels import clean_python, run

MINORS = range(10, 15)
GENERATE = """
import sys
from nanoaccel import LLM, SamplingParams

assert sys.version_info[:2] == (3, {minor}), sys.version
with LLM(sys.argv[1]) as llm:
    output = llm.generate("The tide", SamplingParams(max_tokens=8, ignore_eos=True))
assert output.usage.completion_tokens == 8, output
"""
VERSION = "import sys; print(sys.version_info[1])"


def find_python(minor: int) -> Path | None:
    """An interpreter of Python 3.``minor``."""
    named = os.environ.get("NANOACCEL_PYTHONS", "").split(os.pathsep)
    for candidate in (*named, shutil.which(f"python3.{minor}")):
        if not candidate:
            continue
        told = subprocess.run([candidate, "-c", VERSION], capture_output=True, text=True)
        if told.stdout.strip() == str(minor):
            return Path(candidate)
    return None


@pytest.mark.export
@pytest.mark.skipif(not os.environ.get("NANOACCEL_NIGHTLY"), reason="runs nightly")
@pytest.mark.parametrize("minor", MINORS)
def test_wheel_answers_on_each_python(
    minor: int, wheel: Path, tiny_bundle: Path, tiny_onnx_bundle: Path, tmp_path: Path
) -> None:
    base = find_python(minor)
    if base is None:
        pytest.skip(f"there is no Python 3.{minor}")
    # ONNX Runtime has left Python 3.10.
    extra, bundle = ("onnx", tiny_onnx_bundle) if minor > 10 else ("openvino", tiny_bundle)
    python = clean_python(tmp_path / "env", (f"{wheel}[{extra}]",), base=base)
    run(python, "-c", GENERATE.format(minor=minor), bundle, cwd=tmp_path)
    text = run(python, "-m", "nanoaccel", "generate", bundle, "The tide", cwd=tmp_path)
    assert text.strip()
