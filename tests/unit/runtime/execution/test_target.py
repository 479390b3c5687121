from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nanoaccel import registry
from nanoaccel.bundle import MANIFEST, Bundle, GraphEntry, Manifest, ModelEntry, list_files
from nanoaccel.errors import BundleError, ConfigError, MissingExtraError
from nanoaccel.runtime.backends import BackendOptions
from nanoaccel.runtime.backends.fake import FakeBackend
from nanoaccel.runtime.config import EngineConfig
from nanoaccel.runtime.execution import loader
from nanoaccel.runtime.execution.loader import LoadedModel, Role, pass_time_key
from nanoaccel.runtime.execution.target import TargetLoader
from nanoaccel.runtime.llm import LLM
from nanoaccel.runtime.native import Operators
from nanoaccel.runtime.sampling import SamplingParams
from nanoaccel.testing.engines import VOCAB_SIZE, letter_tokenizer, quick

CONFIG = EngineConfig(speculation="off")


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    """A bundle with a graph for each runtime."""
    folder = tmp_path / "bundle"
    for name in ("openvino", "onnx"):
        (folder / name).mkdir(parents=True)
        (folder / name / "graph").write_text(name)
        (folder / name / "graph.bin").write_text(name)
    letter_tokenizer(folder)
    manifest = Manifest(
        target=ModelEntry(
            runtime="openvino",
            graph="openvino/graph",
            architecture="letters",
            context_length=64,
            parameters=1,
            weight_group_size=None,
        ),
        source={"id": "letters", "revision": None},
        recipe={},
        tools={},
        validation={},
        files=list_files(folder),
        also=(GraphEntry(runtime="onnx", graph="onnx/graph", validation={}),),
    )
    (folder / MANIFEST).write_text(manifest.to_json())
    return Bundle.open(folder)


class Installed:
    """The runtimes that are installed, and what was opened."""

    def __init__(self) -> None:
        self.missing: set[str] = set()
        self.refusing: set[str] = set()
        self.uncovered: set[str] = set()
        self.opened: list[str] = []
        self.closed: list[str] = []

    def resolve(self, name: str) -> Any:
        if name in self.missing:
            raise MissingExtraError(f"{name} is not installed", "Install it")
        installed = self

        def load(options: BackendOptions) -> FakeBackend:
            if name in installed.refusing:
                raise ConfigError(f"{name} cannot", "Choose another")
            assert options.graph.read_text() == name
            installed.opened.append(name)
            made = FakeBackend(quick(), VOCAB_SIZE)
            own = name == "onnx" and name not in installed.uncovered
            made.info = replace(made.info, own_operators=own)
            made.close = lambda: installed.closed.append(name)  # type: ignore[method-assign]
            return made

        return load


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Installed:
    made = Installed()
    monkeypatch.setattr(registry.BACKENDS, "resolve", made.resolve)
    return made


def loaded(bundle: Bundle, name: str = "auto") -> LoadedModel:
    return TargetLoader(bundle=bundle, config=CONFIG).load(name)


def operators(monkeypatch: pytest.MonkeyPatch, path: str | None) -> None:
    monkeypatch.setattr(loader, "find_operators", lambda: Operators(path))


def test_the_graph_of_own_operators_comes_first(
    bundle: Bundle, installed: Installed, monkeypatch: pytest.MonkeyPatch
) -> None:
    operators(monkeypatch, "avx2")
    assert loaded(bundle).name == "onnx"
    assert installed.opened == ["onnx"]
    installed.missing = {"onnx"}
    assert loaded(bundle).name == "openvino"


def test_stock_operators_come_last(
    bundle: Bundle, installed: Installed, monkeypatch: pytest.MonkeyPatch
) -> None:
    operators(monkeypatch, None)
    assert loaded(bundle).name == "openvino"
    assert installed.opened == ["openvino"]
    installed.missing = {"openvino"}
    assert loaded(bundle).name == "onnx"
    installed.missing = {"openvino", "onnx"}
    with pytest.raises(MissingExtraError, match="openvino"):
        loaded(bundle)


def test_a_graph_that_own_operators_do_not_cover_comes_last(
    bundle: Bundle, installed: Installed, monkeypatch: pytest.MonkeyPatch
) -> None:
    operators(monkeypatch, "avx2")
    installed.uncovered = {"onnx"}
    assert loaded(bundle).name == "openvino"
    assert installed.closed == ["onnx"]
    installed.missing = {"openvino"}
    assert loaded(bundle).name == "onnx"


def test_a_graph_that_cannot_do_what_is_asked_is_left_out(
    bundle: Bundle, installed: Installed, monkeypatch: pytest.MonkeyPatch
) -> None:
    operators(monkeypatch, "avx2")
    installed.refusing = {"onnx"}
    assert loaded(bundle).name == "openvino"
    installed.missing = {"openvino"}
    with pytest.raises(ConfigError, match="onnx cannot"):
        loaded(bundle)


def test_a_named_graph_is_that_one(bundle: Bundle, installed: Installed) -> None:
    assert [loaded(bundle, name).name for name in ("openvino", "onnx")] == ["openvino", "onnx"]
    assert installed.opened == ["openvino", "onnx"]
    assert bundle.graph_for("plugged in") == bundle.graph
    with pytest.raises(BundleError, match="no graph for 'onnx'"):
        replace(bundle, manifest=None).graph_for("onnx")


def key(bundle: Bundle, name: str, config: EngineConfig = CONFIG, role: Role = "decode") -> str:
    return pass_time_key(bundle, name, config, FakeBackend(quick(), VOCAB_SIZE).info, role)


def test_key_of_pass_times_names_what_its_backend_obeys(bundle: Bundle) -> None:
    grouped = replace(CONFIG, quantization_group=64)
    assert key(bundle, "openvino", grouped) != key(bundle, "openvino", CONFIG)
    assert key(bundle, "onnx", grouped) == key(bundle, "onnx", CONFIG)
    for name, changed in (
        ("openvino", CONFIG),
        ("onnx", replace(CONFIG, threads=1)),
        ("onnx", replace(CONFIG, precision="f32")),
        ("onnx", replace(CONFIG, cache_precision="f32")),
    ):
        assert key(bundle, name, changed) != key(bundle, "onnx", CONFIG)
    draft = key(bundle, "onnx", CONFIG, "draft")
    assert draft != key(bundle, "onnx", CONFIG)


def test_key_of_pass_times_names_the_operators_and_the_cache(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = []
    for found in (Operators(None), Operators("avx2", version="a"), Operators("avx2", version="b")):
        monkeypatch.setattr(loader, "find_operators", lambda found=found: found)
        keys.append([key(bundle, name) for name in ("openvino", "onnx")])
    assert len({openvino for openvino, _ in keys}) == 1
    assert len({onnx for _, onnx in keys}) == 3
    info = FakeBackend(quick(), VOCAB_SIZE).info
    other = pass_time_key(bundle, "onnx", CONFIG, replace(info, cache_layout="another"))
    assert other != key(bundle, "onnx")


def test_engines_share_the_memory(bundle: Bundle, installed: Installed) -> None:  # noqa: ARG001
    config = EngineConfig(speculation="off", kv_cache_memory=20 * 32, engines=2)
    assert TargetLoader(bundle=bundle, config=config).load("auto").shape.num_blocks == 10


def test_llm_keeps_prompts_on_disk(
    bundle: Bundle,
    installed: Installed,  # noqa: ARG001
    tmp_path: Path,
) -> None:
    params = SamplingParams(max_tokens=8, ignore_eos=True)
    for _ in range(2):
        with LLM(bundle.folder, speculation="off", prompt_cache=tmp_path / "cache") as llm:
            llm.generate("abcdefghij", params)
            restored = llm.counters().restored_tokens
    assert restored >= 8
