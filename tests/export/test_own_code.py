"""No code of a model's folder runs, and nobody is asked whether it may."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nanoaccel import LLM
from nanoaccel.errors import UnsupportedModelError
from nanoaccel.exporters.quiet import quiet
from nanoaccel.exporters.source.model_source import load, resolve
from nanoaccel.exporters.source.tokenizer_files import write_tokenizer

pytestmark = pytest.mark.export

CODE = {
    "AutoConfig": "configuration_own.OwnConfig",
    "AutoModelForCausalLM": "modeling_own.OwnForCausalLM",
}


@pytest.fixture
def folder(tiny_model: Path, tmp_path: Path) -> Path:
    """A model with modules that leave a mark when they are imported."""
    copy = Path(shutil.copytree(tiny_model, tmp_path / "model"))
    for name in ("configuration_own", "modeling_own", "tokenization_own"):
        (copy / f"{name}.py").write_text(f"open({str(tmp_path / 'EXECUTED')!r}, 'w').close()\n")
    return copy


def change(path: Path, **more: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **more}))


@pytest.mark.parametrize(
    ("config", "tokenizer", "named"),
    [
        ({"model_type": "own", "auto_map": CODE}, {}, list(CODE.values())),
        ({"auto_map": CODE}, {}, ["modeling_own.OwnForCausalLM"]),
        (
            {"model_type": "own", "auto_map": {"AutoConfig": "org/other--configuration.Own"}},
            {},
            ["org/other--configuration.Own"],
        ),
        (
            {},
            {"auto_map": {"AutoTokenizer": ["tokenization_own.Own", None]}},
            ["AutoTokenizer: tokenization_own.Own"],
        ),
        ({}, {"auto_map": ["tokenization_own.Own", None]}, ["tokenization_own.Own"]),
        (
            {"auto_map": {"AutoTokenizer": ["tokenization_own.Own", None]}},
            {},
            ["tokenization_own.Own"],
        ),
        ({"_attn_implementation": "kernels-community/x"}, {}, ["kernels-community/x"]),
    ],
)
def test_resolve_names_the_code_that_wanted_to_run(
    folder: Path, config: dict[str, Any], tokenizer: dict[str, Any], named: list[str]
) -> None:
    change(folder / "config.json", **config)
    change(folder / "tokenizer_config.json", **tokenizer)
    (folder / "model.safetensors").unlink()  # the code comes first
    with pytest.raises(UnsupportedModelError, match="wants to run code of its own") as caught:
        resolve(str(folder))
    for name in named:
        assert name in str(caught.value)
    assert not (folder.parent / "EXECUTED").exists()


@pytest.mark.parametrize("answer", ["", "y\n" * 9])
def test_export_command_asks_nothing(folder: Path, answer: str) -> None:
    change(folder / "config.json", model_type="own", auto_map=CODE)
    command = [sys.executable, "-m", "nanoaccel", "export", str(folder), str(folder / "out")]
    done = subprocess.run(command, input=answer, text=True, capture_output=True, check=False)
    assert done.returncode == 1
    assert "wants to run code of its own: AutoConfig: configuration_own.OwnConfig" in " ".join(
        done.stderr.split()
    )
    assert not (folder.parent / "EXECUTED").exists()


def test_load_takes_transformers_own_class_where_a_folder_brings_one_of_its_name(
    folder: Path, tmp_path: Path
) -> None:
    own = {"AutoConfig": "configuration_own.LlamaConfig"}
    own["AutoModelForCausalLM"] = "modeling_own.LlamaForCausalLM"
    change(folder / "config.json", auto_map=own)
    source = resolve(str(folder))
    with quiet():
        model, _ = load(source, "f32")
    (tmp_path / "tokenizer").mkdir()
    write_tokenizer(source, tmp_path / "tokenizer")
    assert type(model).__module__.startswith("transformers.")
    assert not hasattr(model.config, "auto_map")
    with LLM(folder, backend="torch"):
        pass
    assert not (tmp_path / "EXECUTED").exists()


def test_torch_backend_names_the_code_that_wanted_to_run(folder: Path) -> None:
    change(folder / "config.json", model_type="own", auto_map=CODE)
    with pytest.raises(UnsupportedModelError, match=r"configuration_own\.OwnConfig"):
        LLM(folder, backend="torch")
    assert not (folder.parent / "EXECUTED").exists()


def test_resolve_downloads_no_weights_of_a_model_that_wants_to_run_code(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(folder / "config.json", model_type="own", auto_map=CODE)
    asked: list[object] = []

    def download(_: str, **options: object) -> str:
        asked.append(options["allow_patterns"])
        return str(folder)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    with pytest.raises(UnsupportedModelError, match="wants to run code"):
        resolve("org/name")
    assert "safetensors" not in " ".join(str(patterns) for patterns in asked)
