"""Backends that tell what their operators take, on a model that takes hardly anything."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest

from nanoaccel.bundle import Bundle
from nanoaccel.registry import BACKENDS
from nanoaccel.runtime.backends import BackendOptions, OperatorTimer
from nanoaccel.runtime.cpu.huge_pages import HugePages
from nanoaccel.runtime.tools.profiling import ProfileOptions, profile_bundle
from nanoaccel.runtime.tools.profiling.operators import measure_operators

RUNTIMES = {"openvino": "tiny_bundle", "onnx": "tiny_onnx_bundle", "torch": "tiny_model"}


@pytest.fixture(params=RUNTIMES)
def runtime(request: pytest.FixtureRequest) -> str:
    if request.param == "onnx":
        pytest.importorskip("onnxruntime")
    return str(request.param)


@pytest.fixture
def bundle(runtime: str, request: pytest.FixtureRequest) -> Path:
    return Path(request.getfixturevalue(RUNTIMES[runtime]))


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_operators_are_about_the_forward_time(
    runtime: str, bundle: Path, tiny_model: Path, temporary: Path
) -> None:
    graph = Bundle.open(bundle).graph_for(runtime)
    backend = BACKENDS.resolve(runtime)(BackendOptions(graph=graph, precision="f32", profile=True))
    try:
        passes = measure_operators(backend, prompt=200, tokens=8, chunk=128, pages=HugePages())
    finally:
        backend.close()
        backend.close()
    assert not list(temporary.iterdir())
    assert [found.passes for found in passes] == [3, 8, 8, 8]
    shapes = [found.shape for found in passes if found.shape is not None]
    assert [(s.tokens, s.logits, s.past) for s in shapes] == [
        (128, 1, 0),
        (1, 1, 200),
        (8, 8, 200),
        (8, 8, 200),
    ]
    assert shapes[3].cache_bytes == 8 * shapes[2].cache_bytes
    decode = passes[1]
    for found in passes:
        # What lies between the operators weighs much with so small a model.
        assert 0.02 * found.forward < found.seconds < 1.05 * found.forward
        layers = {layer for layer, _ in found.by_layer()}
        assert None in layers
        assert layers - {None} == set(range(len(layers) - 1))
        assert all(operator.calls == found.passes for operator in found.operators)
    config = json.loads((tiny_model / "config.json").read_text())
    assert not config["tie_word_embeddings"]
    embedding = 4 * config["vocab_size"] * config["hidden_size"]
    assert embedding <= decode.looked_up < 1.02 * embedding


def test_backend_without_profile_is_no_slower_kind(runtime: str, bundle: Path) -> None:
    graph = Bundle.open(bundle).graph_for(runtime)
    backend = BACKENDS.resolve(runtime)(BackendOptions(graph=graph))
    assert isinstance(backend, OperatorTimer)
    with pytest.raises(AssertionError, match="not loaded with profile"):
        backend.begin_section()
    with pytest.raises(AssertionError, match="not loaded with profile"):
        backend.operator_times()
    backend.close()


def test_profile_bundle_tells_all(runtime: str, bundle: Path, temporary: Path) -> None:
    told: list[str] = []
    found = profile_bundle(
        bundle,
        backend=runtime,
        options=ProfileOptions(prompt_tokens=150, tokens=12, machine_seconds=0.01),
        arguments={"speculation": "off", "prefix_cache": False},
        listener=told.append,
    )
    assert found.backend.name == runtime
    assert [step.tokens for step in found.run.of_kind(False)] == [128, 22]
    assert len(found.run.of_kind(True)) == 11
    assert 0 <= found.run.unexplained < found.run.wall
    names = [name for name, _ in found.cold_start.phases]
    assert names == ["import", "open", "tokenizer", "compile", "cache", "engine", "first pass"]
    assert all(seconds >= 0 for _, seconds in found.cold_start.phases)
    assert dict(found.cold_start.phases)["compile"] > 0
    assert found.prefill is not None
    assert found.decode is not None
    assert len(found.passes) == 4
    assert found.memory.weights > 0
    assert told[0] == "open the bundle"
    assert not list(temporary.iterdir())
