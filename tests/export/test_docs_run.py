"""Commands and programs of the pages, run as they stand, on tiny models under the pages' names.

Those that take long run nightly.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
from support.pages import WRITTEN, blocks, commands_in, name_of, shell_lines

from nanoaccel.cli.main import main

pytestmark = pytest.mark.export
QUICK = {"generate", "inspect", "cpu", "plugins"}
LONG = {"bench", "eval", "profile", "batch", "tune"}
# Those need an adapter, a draft, torch, other processes, or a data set of the hub.
NEEDS_MORE = ("--adapter", "path/to/model", "--replicas", "--tasks", "--backend", "--ray", "--html")
LINES = sorted(
    {
        tuple(command[1:])
        for page in WRITTEN
        for line in shell_lines(page)
        for command in commands_in(line)
        if Path(command[0]).name == "nanoaccel"
        and len(command) > 1
        and command[1] in QUICK | LONG
        and not any(word in NEEDS_MORE for word in command)
    }
)
PROGRAMS = ["README.md", "docs/explanation/engine.md", "docs/tutorials/getting-started.md"]
PROGRAMS += ["docs/explanation/speculation.md", "docs/how-to/structured-output.md"]
PROGRAMS += [
    f"docs/how-to/coming-from/{one}.md" for one in ("vllm", "openvino-genai", "onnxruntime-genai")
]
PROGRAMS += ["docs/how-to/profiling.md", "docs/how-to/replicas.md", "docs/reference/python.md"]


@pytest.fixture
def folder(tiny_onnx_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with all that pages name, and the working directory."""
    for name in ("smollm2", "bundle", "BUNDLE", "folder"):
        (tmp_path / name).symlink_to(tiny_onnx_bundle)
    (tmp_path / "long.txt").write_text("Once upon a time there was a tower. " * 4)
    (tmp_path / "person.json").write_text('{"type": "boolean"}')
    request = '{"custom_id": "1", "method": "POST", "url": "/v1/completions", "body": {}}'
    body = '{"prompt": "Once", "max_tokens": 2}'
    (tmp_path / "requests.jsonl").write_text(request.replace("{}", body) + "\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    "line",
    [
        pytest.param(
            line, id=shlex.join(line), marks=pytest.mark.nightly if line[0] in LONG else ()
        )
        for line in LINES
    ],
)
def test_shown_command_runs(line: tuple[str, ...]) -> None:
    short = ["--max-tokens", "4"] if line[0] == "generate" else []
    assert main([*line, *short]) == 0


@pytest.mark.parametrize("name", PROGRAMS)
def test_shown_programs_run(name: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from nanoaccel import LLM, RequestOptions, SamplingParams

    (page,) = (page for page in WRITTEN if name_of(page) == name)
    names: dict[str, Any] = {"LLM": LLM, "RequestOptions": RequestOptions, "prompt": "Once"}
    names["SamplingParams"] = SamplingParams
    for number, block in enumerate(blocks(page, "python"), 1):
        source = block.replace("/var/cache/prompts", str(folder / "prompts"))
        exec(compile(source, f"{name}, snippet {number}", "exec"), names)
    if "llm" in names:
        names["llm"].close()
    if name != "docs/reference/python.md":
        assert capsys.readouterr().out
