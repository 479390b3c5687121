"""From the stateful graph to one that is given each sequence's keys and values, and gives them
back: for attention that OpenVINO cannot page.
"""

from __future__ import annotations

from pathlib import Path

import openvino as ov
from openvino._offline_transformations import stateful_to_stateless_transformation

from nanoaccel.errors import BundleError, ConfigError
from nanoaccel.runtime.backends.base import BackendOptions
from nanoaccel.runtime.backends.slots import CachePorts

TOKENS, POSITIONS, MASK = "input_ids", "position_ids", "attention_mask"
_PAST, _PRESENT = "past_key_values.", "present."


def check_options(options: BackendOptions, reason: str) -> None:
    """Refuse what only paged graphs do.

    Args:
        options: What a graph is loaded with.
        reason: Why it is not paged.

    Raises:
        ConfigError: It is asked for adapters, attention scores, or a type of the cache.
    """
    asked = {
        "adapters": options.adapters,
        "attention scores": options.attention_scores,
        f"cache_precision={options.cache_precision!r}": options.cache_precision
        not in ("auto", "f32"),
    }
    for what, wanted in asked.items():
        if wanted:
            raise ConfigError(
                f"{what} cannot be had of {options.graph} on OpenVINO: {reason}",
                "Export it for ONNX Runtime: --runtime onnx",
            )


def make_stateless(model: ov.Model, graph: Path) -> list[CachePorts]:
    """Turn a graph's own key-value state into inputs and outputs, in place.

    Args:
        model: The graph.
        graph: Its file.

    Returns:
        Keys and values of all layers.

    Raises:
        BundleError: It has none, or a state of another kind, or inputs that no step gives.
    """
    if not any(node.get_type_name() == "ReadValue" for node in model.get_ops()):
        raise BundleError(
            f"{graph}: the graph has no key-value state",
            "Export it with past (optimum-intel's task text-generation-with-past)",
        )
    stateful_to_stateless_transformation(model)
    names = [value.get_any_name() for value in model.inputs]
    caches = [name for name in names if name.startswith(_PAST)]
    unknown = sorted({*names} - {TOKENS, POSITIONS, MASK, *caches})
    if unknown:
        raise BundleError(
            f"{graph} has inputs that the engine does not give: {', '.join(unknown[:4])}",
            "Use a model of another architecture",
        )
    return [_ports(model, name, graph) for name in caches]


def _ports(model: ov.Model, name: str, graph: Path) -> CachePorts:
    value = model.input(name)
    shape, kind = list(value.get_partial_shape()), value.get_element_type()
    if len(shape) != 4 or shape[1].is_dynamic or shape[3].is_dynamic or not kind.is_real():
        raise BundleError(
            f"{graph} keeps {name} {value.get_partial_shape()}, which is neither keys nor values",
            "Use a model of another architecture",
        )
    return CachePorts(
        heads=shape[1].get_length(),
        width=shape[3].get_length(),
        dtype=kind.to_dtype(),
        past=name,
        present=name.replace(_PAST, _PRESENT, 1),
    )
