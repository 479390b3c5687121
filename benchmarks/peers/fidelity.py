"""How far a graph is from the original model: KL divergence over held-out text."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def divergences(source: Path, graphs: Mapping[str, Path], tokens: int = 4096) -> dict[str, float]:
    """KL from the original, nats a token.

    Args:
        source: Checkpoint with the original weights.
        graphs: OpenVINO graphs by name.
        tokens: Of the text.
    """
    from transformers import AutoModelForCausalLM

    from nanoaccel.calibration.datasets import CalibrationOptions, judging_windows
    from nanoaccel.calibration.reference import record
    from nanoaccel.exporters.quiet import quiet
    from nanoaccel.exporters.reference.encoder import ModelEncoder
    from nanoaccel.exporters.targets.openvino.runner import GraphRunner

    with quiet():
        model = AutoModelForCausalLM.from_pretrained(source)
        context = model.config.max_position_embeddings
        judge = judging_windows(CalibrationOptions(), ModelEncoder(source), tokens, context)
        reference = record(model, judge.name, judge.held_out, lambda _: None)
    return {name: reference.judge(GraphRunner(path).logits).kl for name, path in graphs.items()}
