from __future__ import annotations

from pathlib import Path

from nanoaccel.bundle.graph_files import exact_graph, weights_file, weights_files, weights_size


def test_weights_are_beside_a_graph_or_in_it(tmp_path: Path) -> None:
    graph = tmp_path / "model.onnx"
    graph.write_bytes(b"123")
    assert weights_files(graph) == [graph]
    assert weights_size(graph) == 3
    (tmp_path / "model.onnx.data").write_bytes(b"12345")
    assert weights_files(graph) == [weights_file(graph)] == [tmp_path / "model.onnx.data"]
    assert weights_size(graph) == 5


def test_weights_of_openvino_have_the_name_of_their_graph(tmp_path: Path) -> None:
    assert weights_file(tmp_path / "openvino_model.xml") == tmp_path / "openvino_model.bin"


def test_weights_of_a_model_are_all_its_shards(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_bytes(b"{}")
    for number, name in enumerate(("model-2.safetensors", "model-1.safetensors", "other.bin")):
        (tmp_path / name).write_bytes(b"x" * (number + 1))
    found = weights_files(config)
    assert [path.name for path in found] == ["model-1.safetensors", "model-2.safetensors"]
    assert weights_size(config) == 3


def test_exact_graph_is_beside_the_rounded_one(tmp_path: Path) -> None:
    assert exact_graph(tmp_path / "model.onnx") == tmp_path / "model.f32.onnx"
