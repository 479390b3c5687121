from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.hub_server import COMMIT, Hub, serve_hub

from nanoaccel.bundle import Bundle
from nanoaccel.exporters.source.model_source import resolve
from nanoaccel.pulled import find_pulled, forget_pulled, usual_folder

pytestmark = pytest.mark.export
NAME = "org/model"


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serve_hub() as found:
        yield found


@pytest.fixture
def run(hub: Hub, run_cli: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run a command with this hub, and a cache of its own."""
    monkeypatch.setenv("NANOACCEL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.url)
    template = f"{hub.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    return run_cli


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_pulled_model_is_found_by_its_name(hub: Hub, run: Any, tiny_model: Path) -> None:
    hub.files[NAME] = {**files_of(tiny_model), "README.md": b"x", "onnx/model.onnx": b"y"}
    ended = run("pull", NAME, "--json")
    assert ended.code == 0, ended.err
    told = json.loads(ended.out)
    folder = usual_folder(NAME)
    assert told["folder"] == str(folder)
    assert told["commit"] == COMMIT
    assert files_of(folder) == files_of(tiny_model)
    source = resolve(NAME)
    assert (source.id, source.revision, source.folder) == (NAME, COMMIT, folder)
    assert Bundle.open(NAME).folder == folder
    assert json.loads(run("list", "--json").out)[0]["model"] == NAME
    before = len(hub.ranges)
    assert run("pull", NAME).code == 0
    assert len(hub.ranges) == before  # it is there already
    assert run("rm", NAME, "--yes").code == 0
    assert not folder.exists()
    assert find_pulled(NAME) is None


def test_killed_pull_goes_on_where_it_ended(
    hub: Hub, run: Any, processes: Any, tmp_path: Path
) -> None:
    large = bytes(range(256)) * (3 << 15)  # more than the client reads at once
    hub.files[NAME] = {"config.json": b"{}", "model.safetensors": large}
    hub.chunk_seconds = 0.1
    out = tmp_path / "out"
    part = tmp_path / ".out.pull" / "model.safetensors.part"
    environment = {**processes.environment, "HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0"}
    with subprocess.Popen(
        processes.command_line("pull", NAME, out),
        env=environment,
        stderr=subprocess.DEVNULL,
    ) as process:
        deadline = time.monotonic() + 60
        while not (part.is_file() and part.stat().st_size) and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    assert 0 < part.stat().st_size < len(large)
    assert not out.exists()
    hub.chunk_seconds, hub.ranges[:] = 0.0, []
    ended = run("pull", NAME, out)
    assert ended.code == 0, ended.err
    ((file, begin),) = hub.ranges  # config.json is whole, and the other is not begun anew
    assert file == "model.safetensors"
    assert begin > 0
    assert files_of(out) == dict(hub.files[NAME])
    assert not part.parent.exists()


def test_altered_file_is_refused_and_comes_anew(hub: Hub, run: Any, tmp_path: Path) -> None:
    hub.files[NAME] = {"config.json": b"{}", "model.safetensors": b"right"}
    hub.served["model.safetensors"] = b"wrong"
    out = tmp_path / "out"
    ended = run("pull", NAME, out)
    assert ended.code == 1
    assert "its checksum differs. It was deleted" in ended.err
    assert not out.exists()
    hub.served.clear()
    assert run("pull", NAME, out).code == 0
    assert (out / "model.safetensors").read_bytes() == b"right"


@pytest.mark.parametrize(
    ("files", "told"),
    [
        (None, "has no org/model"),
        ({"README.md": b"x"}, "has no weights"),
        ({"a.gguf": b"x", "b.gguf": b"y"}, "has 2 GGUF files: a.gguf, b.gguf. Say which"),
        ({"nanoaccel.json": b"{}", "a/../../x": b"y"}, "outside its folder"),
    ],
)
def test_repository_that_cannot_be_pulled(
    files: dict[str, bytes] | None, told: str, hub: Hub, run: Any, tmp_path: Path
) -> None:
    if files is not None:
        hub.files[NAME] = files
    ended = run("pull", NAME, tmp_path / "out")
    assert (ended.code, ended.out) == (1, "")
    assert told in ended.err.splitlines()[-1]
    assert not (tmp_path / "out").exists()


def test_pull_takes_the_file_that_is_named(hub: Hub, run: Any, tmp_path: Path) -> None:
    hub.files[NAME] = {"a-Q4_0.gguf": b"GGUF a", "b.gguf": b"GGUF b"}
    assert run("pull", NAME, tmp_path / "out", "--file", "*Q4_0.gguf").code == 0
    assert files_of(tmp_path / "out") == {"a-Q4_0.gguf": b"GGUF a"}


def test_pull_does_not_replace_a_folder_of_others(hub: Hub, run: Any, tmp_path: Path) -> None:
    hub.files[NAME] = {"config.json": b"{}", "model.safetensors": b"x"}
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "letter.txt").write_text("dear")
    ended = run("pull", NAME, tmp_path / "out")
    assert ended.code == 1
    assert "is in use" in ended.err
    assert (tmp_path / "out" / "letter.txt").read_text() == "dear"


def test_pull_without_a_connection_says_so(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    ended = run("pull", NAME, tmp_path / "out")
    assert ended.code == 1
    assert "the hub (http://127.0.0.1:9) cannot be reached" in ended.err
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    ended = run("pull", NAME, tmp_path / "out")
    assert "HF_HUB_OFFLINE is set" in ended.err


def test_moved_folder_is_no_longer_found(hub: Hub, run: Any, tmp_path: Path) -> None:
    hub.files[NAME] = {"config.json": b"{}", "model.safetensors": b"x"}
    assert run("pull", NAME, tmp_path / "out").code == 0
    assert find_pulled(NAME) is not None
    shutil.move(tmp_path / "out", tmp_path / "elsewhere")
    assert find_pulled(NAME) is None
    forget_pulled(tmp_path / "out")
