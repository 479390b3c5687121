from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.engines import VOCAB_SIZE, letter_tokenizer, quick

from nanoaccel import registry
from nanoaccel.bundle import MANIFEST, Bundle, GraphEntry, Manifest, ModelEntry, list_files
from nanoaccel.errors import BundleError, ConfigError, MissingExtraError
from nanoaccel.runtime.backends import BackendOptions
from nanoaccel.runtime.backends.fake import FakeBackend
from nanoaccel.runtime.config import EngineConfig
from nanoaccel.runtime.execution import target
from nanoaccel.runtime.execution.loader import (
    LoadedModel,
    backend_name,
    open_backend,
    pass_time_key,
)
from nanoaccel.runtime.execution.pass_time import PassTimeModel
from nanoaccel.runtime.execution.target import LoadedModels, TargetLoader
from nanoaccel.runtime.llm import LLM
from nanoaccel.runtime.native import find_operators
from nanoaccel.runtime.sampling import SamplingParams
from nanoaccel.runtime.scheduling.load import Load

ALONE = PassTimeModel(decode={1: 0.005, 8: 0.020}, prompt_token=0.001)
TOGETHER = PassTimeModel(decode={1: 0.008, 8: 0.012}, prompt_token=0.001)
SLOW = PassTimeModel(decode={1: 0.010, 8: 0.030}, prompt_token=0.001)
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
        self.opened: list[str] = []
        self.closed: list[str] = []
        self.measured: list[list[str]] = []
        self.times = {"openvino": TOGETHER, "onnx": ALONE}

    def resolve(self, name: str) -> Any:
        if name in self.missing:
            raise MissingExtraError(f"{name} is not installed", "Install it")
        installed = self

        def load(options: BackendOptions) -> FakeBackend:
            if name in installed.refusing:
                raise ConfigError(f"{name} cannot", "Choose another")
            assert options.graph.read_text() == name
            installed.opened.append(name)
            made = FakeBackend(quick(), VOCAB_SIZE, slots=name == "onnx")
            made.close = lambda: installed.closed.append(name)  # type: ignore[method-assign]
            return made

        return load

    def measure(self, models: list[LoadedModel], _: Path) -> list[LoadedModel]:
        self.measured.append([model.name for model in models])
        return [replace(model, times=self.times[model.name]) for model in models]


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Installed:
    made = Installed()
    monkeypatch.setattr(registry.BACKENDS, "resolve", made.resolve)
    monkeypatch.setattr(target, "measure_decoding", made.measure)
    monkeypatch.setattr(target, "load_decoding", lambda *_: None)
    return made


def loaded(bundle: Bundle, name: str = "auto") -> LoadedModels:
    return TargetLoader(bundle=bundle, config=CONFIG).load(name)


def runtimes(bundle: Bundle, name: str = "auto") -> list[str]:
    return [model.name for model in loaded(bundle, name).models]


def test_graphs_that_are_each_the_fastest_at_something_are_kept(
    bundle: Bundle, installed: Installed
) -> None:
    found = loaded(bundle)
    assert [model.name for model in found.models] == ["onnx", "openvino"]
    assert found.selector is not None
    assert found.selector.choose(Load(8, 0, 8)) == 1
    assert installed.closed == []


def test_graphs_that_are_never_the_fastest_are_closed(bundle: Bundle, installed: Installed) -> None:
    installed.times["onnx"] = SLOW
    found = loaded(bundle)
    assert [model.name for model in found.models] == ["openvino"]
    assert found.selector is None
    assert installed.closed == ["onnx"]


def test_graphs_whose_times_are_known_are_opened_only_if_they_are_worth_it(
    bundle: Bundle, installed: Installed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(target, "load_decoding", lambda *_: [SLOW, ALONE])
    assert runtimes(bundle) == ["onnx"]
    assert installed.opened == ["onnx"]
    assert installed.measured == []


def test_graphs_of_runtimes_that_are_not_installed_are_left_out(
    bundle: Bundle, installed: Installed
) -> None:
    installed.missing = {"openvino"}
    assert runtimes(bundle) == ["onnx"]
    assert open_backend(bundle, backend_name(bundle, "auto"), CONFIG).info.slots
    assert installed.measured == []
    installed.missing = {"openvino", "onnx"}
    with pytest.raises(MissingExtraError, match="openvino"):
        runtimes(bundle)


def test_graphs_that_cannot_do_what_is_asked_are_left_out(
    bundle: Bundle, installed: Installed
) -> None:
    installed.refusing = {"onnx"}
    assert runtimes(bundle) == ["openvino"]
    installed.refusing = {"openvino", "onnx"}
    with pytest.raises(ConfigError, match="onnx cannot"):
        runtimes(bundle)


def test_graphs_of_a_named_runtime_are_that_one(bundle: Bundle, installed: Installed) -> None:
    assert runtimes(bundle, "openvino") == ["openvino"]
    assert runtimes(bundle, "onnx") == ["onnx"]
    assert installed.measured == []
    assert bundle.graph_for("plugged in") == bundle.graph
    with pytest.raises(BundleError, match="no graph for 'onnx'"):
        replace(bundle, manifest=None).graph_for("onnx")


def test_key_of_pass_times_names_what_its_backend_obeys(bundle: Bundle) -> None:
    grouped = replace(CONFIG, quantization_group=64)
    assert pass_time_key(bundle, "openvino", grouped) != pass_time_key(bundle, "openvino", CONFIG)
    assert pass_time_key(bundle, "onnx", grouped) == pass_time_key(bundle, "onnx", CONFIG)
    for name, changed in (
        ("openvino", CONFIG),
        ("onnx", replace(CONFIG, threads=1)),
        ("onnx", replace(CONFIG, precision="f32")),
        ("onnx", replace(CONFIG, cache_precision="f32")),
    ):
        assert pass_time_key(bundle, name, changed) != pass_time_key(bundle, "onnx", CONFIG)
    draft = pass_time_key(bundle, "onnx", CONFIG, "draft")
    assert draft != pass_time_key(bundle, "onnx", CONFIG)


def test_key_of_pass_times_names_the_operators(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = {}
    for isa in ("none", "scalar"):
        monkeypatch.setenv("NANOACCEL_ISA", isa)
        keys[isa] = [pass_time_key(bundle, name, CONFIG) for name in ("openvino", "onnx")]
    assert keys["none"][0] == keys["scalar"][0]
    assert (keys["none"][1] == keys["scalar"][1]) == (find_operators().library is None)


def test_graphs_share_the_memory(bundle: Bundle, installed: Installed) -> None:  # noqa: ARG001
    config = EngineConfig(speculation="off", kv_cache_memory=20 * 32)
    found = TargetLoader(bundle=bundle, config=config).load("auto")
    assert [model.shape.num_blocks for model in found.models] == [10, 10]


def test_llm_follows_the_load_from_graph_to_graph(bundle: Bundle, installed: Installed) -> None:
    params = SamplingParams(max_tokens=8, ignore_eos=True)
    with LLM(bundle.folder, speculation="off") as llm:
        one = llm.generate("abc", params)
        selector = llm.client.thread.engine.selector
        assert selector is not None
        assert selector.current == 0
        many = llm.generate(["abc"] * 8, params)
        assert selector.current == 1
        assert {output.token_ids for output in many} == {one.token_ids}
    assert sorted(installed.closed) == ["onnx", "openvino"]


def test_llm_keeps_prompts_of_each_graph_on_disk(
    bundle: Bundle,
    installed: Installed,  # noqa: ARG001
    tmp_path: Path,
) -> None:
    params = SamplingParams(max_tokens=8, ignore_eos=True)
    for _ in range(2):
        with LLM(bundle.folder, speculation="off", prompt_cache=tmp_path / "cache") as llm:
            llm.generate("abcdefghij", params)
            llm.generate(["abcdefghij"] * 8, params)
            restored = llm.counters().restored_tokens
    assert restored >= 2 * 8
