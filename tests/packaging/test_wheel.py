"""Runtime and server need no torch: from the source tree, and from the built wheel alone."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import pytest
from support.wheels import ROOT, clean_python, python_of, run, run_any

from deploy.edge import make, size
from nanoaccel.runtime.native.library import LIBRARY

EDGE_SIZE = 150e6  # bytes
LEFT_OUT = ("huggingface_hub", "typer", "rich", "google", "pip")
# By the package of a runtime: the tiny bundle that it runs, and what must not be needed for it.
WORKSHOP = ("torch", "transformers", "nncf", "onnx", "onnx_ir", "gguf")
RUNTIMES = {
    "openvino": ("tiny_bundle", (*WORKSHOP, "onnxruntime")),
    "onnx": ("tiny_onnx_bundle", (*WORKSHOP, "openvino")),
}
GENERATE = """
import sys
from nanoaccel import LLM, SamplingParams

with LLM(sys.argv[1]) as llm:
    output = llm.generate("The tide", SamplingParams(max_tokens=8, ignore_eos=True))
assert output.finish_reason == "length", output
assert output.usage.completion_tokens == 8, output
"""
BLOCK = """
import sys

BLOCKED = NAMES


class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BLOCKED:
            raise ImportError(f"{name} is blocked")
        return None


sys.meta_path.insert(0, Blocker())
"""
UNLOADED = """
loaded = sorted(name for name in sys.modules if name.partition(".")[0] in BLOCKED)
assert not loaded, loaded
"""
INSTALLED = """
import importlib.util
import nanoaccel

assert nanoaccel.__file__.startswith(sys.prefix), nanoaccel.__file__
for name in {absent!r}:
    assert importlib.util.find_spec(name) is None, name
"""
SERVER = "server,onnx"
NOT_FOR_SERVING = (*WORKSHOP, "openvino", "pydantic", "pydantic_core", "fastapi")
# Asks a server for all that it should have without them, and stops it.
SERVE = """
import json, os, signal, subprocess, sys
from urllib.request import Request, urlopen

command = [sys.executable, "-m", "nanoaccel", "serve", sys.argv[1], "--port", "0"]
server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
try:
    url = server.stdout.readline().split()[-1]
    headers = {"Content-Type": "application/json"}


    def post(**body):
        body = {"prompt": "The tide", "max_tokens": 8, **body}
        return json.load(urlopen(Request(f"{url}/completions", json.dumps(body).encode(), headers)))


    assert post(ignore_eos=True)["usage"]["completion_tokens"] == 8
    assert post(guided_choice=["yes"])["choices"][0]["text"] == "yes"
    assert b"<html" in urlopen(url.removesuffix("v1")).read()
    assert json.load(urlopen(url.removesuffix("v1") + "openapi.json"))["openapi"] == "3.1.0"
finally:
    server.terminate()
    assert server.wait(20) == 0
"""


@pytest.fixture(scope="module", params=RUNTIMES)
def runtime(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


@pytest.fixture
def bundle(runtime: str, request: pytest.FixtureRequest) -> Path:
    """A bundle for the runtime."""
    found: Path = request.getfixturevalue(RUNTIMES[runtime][0])
    return found


@pytest.fixture(scope="module")
def edge(runtime: str, wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An edge install of the wheel."""
    if runtime == "onnx" and sys.version_info < (3, 11):
        pytest.skip("ONNX Runtime has left this Python")
    folder = tmp_path_factory.mktemp("edge") / runtime
    make(folder, runtime, nanoaccel=str(wheel))
    return folder


@pytest.mark.export
def test_runtime_generates_while_all_else_is_blocked(runtime: str, bundle: Path) -> None:
    block = BLOCK.replace("NAMES", repr(RUNTIMES[runtime][1]))
    run(sys.executable, "-c", block + GENERATE + UNLOADED, bundle)


def test_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    package = ROOT / "nanoaccel"
    wanted = {
        path.relative_to(ROOT).as_posix()
        for path in package.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    operators = {f"nanoaccel/runtime/native/{name}" for name in (LIBRARY, "not-built.txt")}
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
    information = {name for name in names if ".dist-info/" in name}
    assert names - information - operators == wanted - operators
    assert len(names & operators) == 1
    endings = {name.partition(".dist-info/")[2] for name in information}
    assert endings == {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"}


@pytest.mark.export
def test_edge_install_generates_and_is_small(
    edge: Path, runtime: str, bundle: Path, tmp_path: Path
) -> None:
    python = python_of(edge)
    installed = INSTALLED.format(absent=(*RUNTIMES[runtime][1], *LEFT_OUT))
    run(python, "-c", GENERATE + installed, bundle, cwd=tmp_path)
    if runtime == "onnx":
        assert size(edge) < EDGE_SIZE
    command = run_any(python.with_name("nanoaccel" + python.suffix), "--help", cwd=tmp_path)
    assert command.returncode == 1
    assert "pip install typer rich" in command.stderr
    assert "Traceback" not in command.stderr


def test_edge_install_leaves_a_folder_that_is_there_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    with pytest.raises(SystemExit, match="name a new folder"):
        make(tmp_path, "onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_edge_install_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="was not made"):
        make(tmp_path / "edge", "openvino", nanoaccel=str(tmp_path / "no.whl"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.export
def test_wheel_serves_in_a_clean_environment(
    wheel: Path, tiny_onnx_bundle: Path, tmp_path: Path
) -> None:
    python = clean_python(tmp_path / "server", (f"{wheel}[{SERVER}]",))
    installed = "import sys" + INSTALLED.format(absent=NOT_FOR_SERVING)
    run(python, "-c", installed, cwd=tmp_path)
    run(python, "-c", SERVE, tiny_onnx_bundle, cwd=tmp_path)
