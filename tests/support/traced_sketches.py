"""Small OpenVINO graphs that look like traced decoders: an embedding, something, and logits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from nanoaccel.openvino_core import openvino_core

VOCABULARY, WIDTH = 40, 32
_RNG = np.random.default_rng(0)
EMBEDDING = _RNG.normal(size=(VOCABULARY, WIDTH)).astype(np.float32)
LAST = _RNG.normal(size=(VOCABULARY, WIDTH)).astype(np.float32)
TOKENS = _RNG.integers(0, VOCABULARY, 9)


@dataclass(frozen=True)
class Inputs:
    """Inputs of a traced decoder."""

    ids: ov.Node
    mask: ov.Node
    positions: ov.Node
    beam: ov.Node


def decoder(middle: Callable[[ov.Node, Inputs], ov.Node]) -> ov.Model:
    """A graph whose last states are what a function makes of embeddings [B, T, WIDTH]."""
    named = {}
    for name, shape, kind in (
        ("input_ids", [-1, -1], np.int64),
        ("attention_mask", [-1, -1], np.int64),
        ("position_ids", [-1, -1], np.int64),
        ("beam_idx", [-1], np.int32),
    ):
        named[name] = ops.parameter(shape, kind, name=name)
        named[name].output(0).get_tensor().set_names({name})
    inputs = Inputs(*named.values())
    zero = ops.constant(np.int64(0))
    x = ops.gather(ops.constant(EMBEDDING), ops.convert(inputs.ids, "i32"), zero)
    logits = ops.matmul(middle(x, inputs), ops.constant(LAST), False, True)
    logits.output(0).get_tensor().set_names({"logits"})
    model = ov.Model([ops.result(logits)], list(named.values()), "decoder")
    model.validate_nodes_and_infer_types()
    return model


def both_logits(model: ov.Model, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Logits of the packed graph, for two texts at once, and those of OpenVINO, one by one."""
    from nanoaccel.exporters.targets.onnx.runner import OnnxRunner
    from nanoaccel.exporters.targets.onnx.save import save_graph
    from nanoaccel.exporters.targets.onnx.translate import translate

    texts = [TOKENS, TOKENS[:4]]
    compiled = openvino_core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    wanted = []
    for ids in texts:
        feed: dict[str, Any] = {"input_ids": ids[None]}
        for name, array in (
            ("attention_mask", np.ones((1, len(ids)), np.int64)),
            ("position_ids", np.arange(len(ids))[None]),
            ("beam_idx", np.zeros(1, np.int32)),
        ):
            feed[name] = array
        wanted.append(compiled(feed)["logits"][0])
    save_graph(translate(model, 64), folder)
    (found,) = OnnxRunner(folder / "model.onnx").run(texts, ["logits"])
    return found[0], np.concatenate(wanted)
