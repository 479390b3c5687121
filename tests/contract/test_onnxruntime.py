"""What the ONNX Runtime backend refuses, and how it says so."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from nanoaccel.bundle import Bundle
from nanoaccel.errors import BundleDamagedError, BundleError, ConfigError, NanoAccelError
from nanoaccel.runtime.backends import BackendOptions
from nanoaccel.runtime.llm import LLM
from nanoaccel.runtime.sampling import SamplingParams

onnx = pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")

from nanoaccel.runtime.backends.onnxruntime import load  # noqa: E402

PARAMS = SamplingParams(max_tokens=6, ignore_eos=True)


@pytest.fixture
def graph(tiny_onnx_bundle: Path, tmp_path: Path) -> Path:
    """A copy of a graph that a test may spoil."""
    folder = tmp_path / "onnx"
    shutil.copytree(Bundle.open(tiny_onnx_bundle).graph.parent, folder)
    return folder / "model.onnx"


def edit(graph: Path, change: Callable[..., object]) -> None:
    model = onnx.load(graph, load_external_data=False)
    change(model)
    onnx.save(model, graph)


def refused(graph: Path, kind: type[NanoAccelError] = BundleError, **options: object) -> str:
    with pytest.raises(kind) as caught:
        load(BackendOptions(graph=graph, **options))  # type: ignore[arg-type]
    return str(caught.value)


def test_onnx_names_the_input_that_a_graph_lacks(graph: Path) -> None:
    def rename(model: object) -> None:
        for item in [*model.graph.input]:  # type: ignore[attr-defined]
            if item.name == "query_seqlens":
                item.name = "lengths"
        for node in model.graph.node:  # type: ignore[attr-defined]
            for place, name in enumerate(node.input):
                if name == "query_seqlens":
                    node.input[place] = "lengths"

    edit(graph, rename)
    assert "query_seqlens" in refused(graph)


def test_onnx_names_an_input_that_it_does_not_know(graph: Path) -> None:
    def add(model: object) -> None:
        model.graph.input.append(  # type: ignore[attr-defined]
            onnx.helper.make_tensor_value_info("pixels", onnx.TensorProto.FLOAT, [1])
        )

    edit(graph, add)
    assert "pixels" in refused(graph)


def test_onnx_names_missing_weights(graph: Path) -> None:
    graph.with_name("model.onnx.data").unlink()
    assert "model.onnx.data" in refused(graph, BundleDamagedError)


def test_onnx_names_truncated_weights(graph: Path) -> None:
    data = graph.with_name("model.onnx.data")
    data.write_bytes(data.read_bytes()[:1000])
    assert "model.onnx" in refused(graph, BundleDamagedError)


def test_onnx_names_a_missing_graph(graph: Path) -> None:
    graph.unlink()
    assert "missing" in refused(graph, BundleDamagedError)


def test_onnx_says_that_a_file_is_no_graph(graph: Path) -> None:
    graph.write_bytes(b"certainly not a graph")
    assert ort.__version__ in refused(graph, BundleDamagedError)


def test_onnx_names_an_operator_and_the_version_that_lacks_it(graph: Path) -> None:
    def rename(model: object) -> None:
        for node in model.graph.node:  # type: ignore[attr-defined]
            if node.op_type == "GroupQueryAttention":
                node.op_type = "FutureAttention"

    edit(graph, rename)
    said = refused(graph)
    assert "FutureAttention" in said
    assert ort.__version__ in said


def test_onnx_names_an_opset_and_the_version_that_lacks_it(graph: Path) -> None:
    def raise_opset(model: object) -> None:
        for entry in model.opset_import:  # type: ignore[attr-defined]
            if entry.domain in ("", "ai.onnx"):
                entry.version = 99

    edit(graph, raise_opset)
    said = refused(graph)
    assert "99" in said
    assert ort.__version__ in said


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"attention_scores": True}, "scores"),
        ({"cache_precision": "u4"}, "u4"),
        ({"cache_precision": "u8", "precision": "f32"}, "u8"),
    ],
)
def test_onnx_refuses_what_it_cannot_do(
    graph: Path, options: dict[str, object], named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NANOACCEL_ISA", "none")
    assert named in refused(graph, ConfigError, **options)


def test_onnx_names_a_layer_that_tells_nothing(graph: Path) -> None:
    assert "layer 99" in refused(graph, hidden_layers=(99,))


def test_onnx_queues_requests_when_slots_are_exhausted(tiny_onnx_bundle: Path) -> None:
    with LLM(tiny_onnx_bundle, max_running=2, precision="f32") as llm:
        alone = [llm.generate([5 + n, 6], PARAMS).token_ids for n in range(7)]
        outputs = llm.generate([[5 + n, 6] for n in range(7)], PARAMS)
        assert [output.token_ids for output in outputs] == alone
        assert {output.finish_reason for output in outputs} == {"length"}


def test_onnx_refuses_a_prompt_longer_than_a_slot(tiny_onnx_bundle: Path) -> None:
    with LLM(tiny_onnx_bundle, max_running=2) as llm:
        prompt = [5] * (llm.context_length + 1)
        with pytest.raises(NanoAccelError, match=r"tokens; \d+ fit"):
            llm.generate(prompt, PARAMS)
        assert llm.generate([5, 6], PARAMS).finish_reason == "length"


def test_onnx_keeps_within_the_cache_memory_that_was_set(tiny_onnx_bundle: Path) -> None:
    with LLM(tiny_onnx_bundle, precision="f32", max_running=4) as llm:
        size = llm.backend.bytes_per_block
        expected = [output.token_ids for output in llm.generate(_prompts(), PARAMS)]
    few = {"precision": "f32", "max_running": 4, "kv_cache_memory": 5 * size}
    with LLM(tiny_onnx_bundle, **few) as llm:  # type: ignore[arg-type]
        outputs = llm.generate(_prompts(), PARAMS)
        assert [output.token_ids for output in outputs] == expected
        counters = llm.counters()
        assert counters.cache_blocks == 5
        assert counters.preemptions + counters.evictions > 0


def _prompts() -> list[list[int]]:
    return [[3 + (7 * n + place) % 300 for place in range(50 + 5 * n)] for n in range(6)]


def test_onnx_opens_a_plain_folder_of_the_builder(tmp_path: Path) -> None:
    config = {"model": {"decoder": {"filename": "model.onnx"}, "context_length": 77}}
    (tmp_path / "genai_config.json").write_text(json.dumps(config))
    with pytest.raises(BundleDamagedError, match=r"model\.onnx is missing"):
        Bundle.open(tmp_path)
    (tmp_path / "model.onnx").write_bytes(b"")
    opened = Bundle.open(tmp_path)
    assert (opened.runtimes, opened.context_length) == (("onnx",), 77)
    (tmp_path / "genai_config.json").write_text("{}")
    with pytest.raises(BundleDamagedError, match="genai_config"):
        Bundle.open(tmp_path)
