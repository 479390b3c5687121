"""Puts back what paged attention loses of a graph's masks: local windows and ALiBi."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from nanoaccel.bundle import MODEL_CONFIG
from nanoaccel.bundle.attention import WINDOWS, alibi_slopes, layer_windows, state_obstacle
from nanoaccel.errors import BundleError

_KIND = "PagedAttentionExtension"
_WINDOW, _SLOPES = 10, 11  # indices of its inputs


def read_config(graph: Path) -> Mapping[str, Any]:
    """The model's config.json beside a graph; empty where there is none."""
    try:
        found = json.loads((graph.parent / MODEL_CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(found, dict):
        return {}
    text = found.get("text_config")
    return text if isinstance(text, dict) else found


def check_states(graph: Path, config: Mapping[str, Any]) -> None:
    """Refuse a model that keeps from token to token what no engine keeps.

    Raises:
        BundleError: It is one; the message says what is in the way.
    """
    reason = state_obstacle(config)
    if reason is not None:
        raise BundleError(
            f"{graph} cannot run in the engine: {reason}", "Use a model of another architecture"
        )


def restore_masks(model: ov.Model, config: Mapping[str, Any]) -> None:
    """Give the attention of a paged graph its windows and slopes, in place."""
    windows, slopes = _windows(model, config), alibi_slopes(config)
    if windows is None and slopes is None:
        return
    attentions = [node for node in model.get_ordered_ops() if node.get_type_name() == _KIND]
    for layer, node in enumerate(attentions):
        if windows is not None:
            value = ops.constant(np.int32(windows[layer]))
            node.input(_WINDOW).replace_source_output(value.output(0))
        if slopes is not None:
            value = ops.constant(np.array(slopes, np.float32))
            node.input(_SLOPES).replace_source_output(value.output(0))
    model.validate_nodes_and_infer_types()


def _windows(model: ov.Model, config: Mapping[str, Any]) -> list[int] | None:
    """Tokens that each attention looks back at, 0 for all: as it was traced, or by the config."""
    if not model.has_rt_info(WINDOWS):
        return layer_windows(config)
    return [int(window) for window in model.get_rt_info(WINDOWS).astype(str).split(",")]
