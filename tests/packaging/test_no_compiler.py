"""Where no compiler is, an install works on stock operators, and says why."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from support.wheels import ROOT, build_wheel, clean_python, run

REASON = "no C++ compiler was found when NanoAccel was installed"
GENERATE = """
import sys
from nanoaccel import LLM, SamplingParams

with LLM(sys.argv[1]) as llm:
    output = llm.generate("The tide", SamplingParams(max_tokens=4, ignore_eos=True))
assert output.usage.completion_tokens == 4, output
"""


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment whose PATH has no compiler."""
    tools = tmp_path_factory.mktemp("bin")
    left_out = ("CXX", "NANOACCEL_ISA")
    kept = {name: value for name, value in os.environ.items() if name not in left_out}
    return {**kept, "PATH": str(tools)}


@pytest.mark.export
@pytest.mark.skipif(os.name == "nt", reason="the folders are those of POSIX")
def test_install_without_a_compiler_runs_on_stock_operators(
    bare: dict[str, str], tiny_onnx_bundle: Path, tmp_path: Path
) -> None:
    wheel = build_wheel(ROOT, tmp_path / "dist", bare)
    assert wheel.name.endswith("-py3-none-any.whl")

    python = clean_python(tmp_path / "venv", (f"{wheel}[onnx]",))
    run(python, "-c", GENERATE, tiny_onnx_bundle, environment=bare, cwd=tmp_path)

    command = python.with_name("nanoaccel")
    inspected = json.loads(run(command, "inspect", tiny_onnx_bundle, "--json", environment=bare))
    assert inspected["operators"] == f"stock: {REASON}"
    assert REASON in " ".join(run(command, "doctor", environment=bare).split())
