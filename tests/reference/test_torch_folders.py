"""Hugging Face folders as the torch backend opens them, and as it refuses them."""

from __future__ import annotations

import builtins
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nanoaccel import LLM, SamplingParams
from nanoaccel.bundle import Bundle, weights_size
from nanoaccel.errors import (
    BundleDamagedError,
    BundleError,
    ConfigError,
    MissingExtraError,
    NanoAccelError,
    UnsupportedModelError,
)
from nanoaccel.registry import BACKENDS
from nanoaccel.runtime.backends import BackendOptions

pytestmark = pytest.mark.export


@pytest.fixture
def folder(tiny_model: Path, tmp_path: Path) -> Path:
    """A copy that may be changed."""
    return Path(shutil.copytree(tiny_model, tmp_path / "model"))


def change_config(folder: Path, **more: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **more}))


def drop_a_weight(folder: Path) -> None:
    from safetensors.numpy import load_file, save_file

    path = folder / "model.safetensors"
    weights = load_file(path)
    del weights["model.norm.weight"]
    save_file(weights, path, metadata={"format": "pt"})


def test_torch_runs_a_folder_that_auto_opens(tiny_model: Path) -> None:
    llm = LLM(tiny_model, kv_cache_memory=8 << 20)
    output = llm.generate("The tide", SamplingParams(max_tokens=4, temperature=0))
    assert llm.backend.name == "torch"
    assert output.usage.completion_tokens == 4
    llm.close()


def test_bundle_of_shards_is_stamped_with_all_of_them(tiny_model: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    shards = tmp_path / "shards"
    AutoModelForCausalLM.from_pretrained(tiny_model).save_pretrained(shards, max_shard_size="100KB")
    files = sorted(shards.glob("*.safetensors"))
    assert len(files) > 1
    bundle = Bundle.open(shards)
    assert (bundle.runtime, bundle.context_length) == ("torch", 4096)
    assert weights_size(bundle.graph) == sum(file.stat().st_size for file in files)
    key, stamp = bundle.graph_key(), bundle.stamp()
    data = bytearray(files[-1].read_bytes())
    data[-1] ^= 1
    files[-1].write_bytes(data)
    assert bundle.graph_key() != key
    assert bundle.stamp() != stamp


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        (drop_a_weight, BundleDamagedError, r"lacks weights .*model\.norm\.weight"),
        (
            lambda f: (f / "model.safetensors").write_bytes(b"\0" * 100),
            BundleDamagedError,
            "cannot be read",
        ),
        (
            lambda f: change_config(f, model_type="nobodys"),
            UnsupportedModelError,
            "transformers does not know it",
        ),
        (
            lambda f: change_config(f, is_encoder_decoder=True),
            UnsupportedModelError,
            "encoder with a decoder",
        ),
        (lambda f: change_config(f, vision_config={}), UnsupportedModelError, "more than text"),
        (
            lambda f: change_config(f, quantization_config={"quant_method": "gptq"}),
            UnsupportedModelError,
            "weights are quantized",
        ),
        (
            lambda f: change_config(f, rope_scaling={"rope_type": "dynamic", "factor": 2.0}),
            UnsupportedModelError,
            "dynamic rotation",
        ),
    ],
)
def test_torch_refuses_a_folder_in_one_line(
    change: Callable[[Path], object], kind: type[NanoAccelError], message: str, folder: Path
) -> None:
    change(folder)
    with pytest.raises(kind, match=message) as raised:
        LLM(folder, backend="torch")
    assert "\n" not in str(raised.value)


def test_torch_refuses_another_runtimes_graph(tiny_bundle: Path) -> None:
    with pytest.raises(BundleError, match=r"openvino_model\.xml is another runtime's graph"):
        LLM(tiny_bundle, backend="torch")


def test_other_backends_refuse_a_model_without_a_graph(tiny_model: Path) -> None:
    with pytest.raises(BundleError, match=r"no graph for 'openvino', only for torch.*export"):
        LLM(tiny_model, backend="openvino")


@pytest.mark.parametrize("options", [{"attention_scores": True}, {"cache_precision": "u8"}])
def test_torch_refuses_options_that_it_cannot_do(options: dict[str, Any], tiny_model: Path) -> None:
    graph = Bundle.open(tiny_model).graph
    with pytest.raises(ConfigError, match="torch"):
        BACKENDS.resolve("torch")(BackendOptions(graph=graph, **options))


def test_folder_without_torch_names_the_extra(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("nanoaccel.reference")]:
        monkeypatch.delitem(sys.modules, name)
    real = builtins.__import__

    def without(name: str, *more: Any, **named: Any) -> Any:
        if name == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name="torch")
        return real(name, *more, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=r"torch.*nanoaccel\[export\]"):
        LLM(tiny_model)


@pytest.mark.parametrize("backend", ["auto", "torch"])
def test_generate_command_runs_a_model_folder(tiny_model: Path, backend: str) -> None:
    from typer.testing import CliRunner

    from nanoaccel.cli.main import app

    arguments = ["generate", str(tiny_model), "The tide", "--backend", backend, "--max-tokens", "4"]
    found = CliRunner().invoke(app, arguments)
    assert found.exit_code == 0, found.output
    assert found.stdout.strip()
    assert ("is not exported" in found.stderr) == (backend == "auto")


def test_inductor_without_a_compiler_says_so(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torch._inductor import cpp_builder
    from torch._inductor.exc import InvalidCxxCompiler

    def none() -> str:
        raise InvalidCxxCompiler

    monkeypatch.setattr(cpp_builder, "get_cpp_compiler", none)
    with pytest.raises(ConfigError, match=r"C\+\+ compiler.*backend='torch'"):
        LLM(tiny_model, backend="torch-inductor")
