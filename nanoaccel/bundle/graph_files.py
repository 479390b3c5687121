"""The files that belong to a graph, by the name of the graph's own file."""

from __future__ import annotations

from pathlib import Path

# What stands for the graph of a Hugging Face model, which has none.
MODEL_CONFIG = "config.json"


def weights_file(graph: Path) -> Path:
    """The file beside a graph that holds its weights; a small graph may hold them itself."""
    if graph.suffix == ".onnx":
        return graph.with_name(f"{graph.name}.data")
    return graph.with_suffix(".bin")


def weights_files(graph: Path) -> list[Path]:
    """Where a graph's weights are: beside it, in shards for a model's config.json, or in itself."""
    if graph.name == MODEL_CONFIG:
        return sorted(graph.parent.glob("model*.safetensors"))
    weights = weights_file(graph)
    return [weights if weights.is_file() else graph]


def weights_size(graph: Path) -> int:
    """Bytes of a graph's weights, wherever they are."""
    return sum(path.stat().st_size for path in weights_files(graph))


def exact_graph(graph: Path) -> Path:
    """The file beside an ONNX graph that rounds no activations; it need not be there."""
    return graph.with_suffix(".f32.onnx")
