"""Layers chosen by measured sensitivity, against NNCF's ratio with each of its metrics.

    python -m benchmarks.studies.allocation [--model sample] [--noise 0.02] [--ratio 0.8]

NNCF puts a share of the weights into int4 and the rest into int8, by a metric of its own. Then the
same bytes are allocated by what rounding each unit did to the model. All round to nearest, so that
only the choice of layers differs; KL is measured over text that neither has seen. ``--noise`` adds
noise to the weights, as a share of their spread: such weights never lay on a grid.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

from benchmarks.harness.figures import table_head, table_row
from benchmarks.harness.machine import machine
from nanoaccel.calibration.datasets import CalibrationOptions
from nanoaccel.exporters.progress import Progress
from nanoaccel.exporters.quantize.recipe import Recipe
from nanoaccel.exporters.quantize.trial_builder import TrialBuilder
from nanoaccel.exporters.quiet import quiet
from nanoaccel.exporters.reference.artifacts import ModelArtifacts
from nanoaccel.exporters.reference.options import CaptureOptions
from nanoaccel.exporters.source import model_source as sources
from nanoaccel.exporters.source.context import context_length
from nanoaccel.exporters.source.tokenizer_files import write_tokenizer
from nanoaccel.exporters.targets.capture import capture_artifacts
from nanoaccel.exporters.targets.openvino.build import save_graph
from nanoaccel.exporters.targets.openvino.runner import GraphRunner, graph_inputs
from nanoaccel.exporters.targets.openvino.trace import GRAPH
from nanoaccel.exporters.targets.table import BASE
from nanoaccel.openvino_core import openvino_core

METRICS = (
    "WEIGHT_QUANTIZATION_ERROR",
    "HESSIAN_INPUT_ACTIVATION",
    "MEAN_ACTIVATION_VARIANCE",
    "MAX_ACTIVATION_VARIANCE",
    "MEAN_ACTIVATION_MAGNITUDE",
)


def perturbed(model: str, noise: float, folder: Path) -> str:
    """A copy of the model with noisy matrices."""
    import torch

    source = sources.resolve(model)
    loaded = sources.load_model(source, "f32", write_tokenizer(source, folder))
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in loaded.parameters():
            if weight.ndim == 2:
                weight += noise * weight.std() * torch.randn_like(weight)
    loaded.save_pretrained(folder)
    return str(folder)


def artifacts_of(model: str, folder: Path, tokens: int) -> ModelArtifacts:
    """The traced graph, the samples and the sensitivities of a model."""
    source = sources.resolve(model)
    config = sources.load_config(source)
    wanted = CaptureOptions(
        recipe=Recipe(),
        calibration=True,
        sensitivity=True,
        options=CalibrationOptions(),
        judge_tokens=tokens,
        targets=(BASE.name,),
    )
    end_ids = write_tokenizer(source, folder)
    progress = Progress(lambda _: None)
    return capture_artifacts(
        source, config, folder, wanted, end_ids, context_length(config), progress
    )


def by_nncf(
    artifacts: ModelArtifacts, metric: str, ratio: float, folder: Path
) -> tuple[int, float]:
    """Bytes and KL of what NNCF makes by one of its metrics."""
    import nncf

    model = openvino_core().read_model(artifacts.captured / "openvino" / GRAPH)
    assert artifacts.calibration is not None
    samples = [graph_inputs(model, window) for window in artifacts.calibration.samples]
    data = None if metric == "WEIGHT_QUANTIZATION_ERROR" else nncf.Dataset(samples)
    with quiet():
        model = nncf.compress_weights(
            model,
            mode=nncf.CompressWeightsMode.INT4_SYM,
            group_size=64,
            ratio=ratio,
            dataset=data,
            subset_size=len(samples),
            sensitivity_metric=nncf.SensitivityMetric[metric],
            backup_mode=nncf.BackupMode.INT8_SYM,
        )
    folder.mkdir()
    save_graph(model, folder / GRAPH)
    fidelity = artifacts.reference.judge(GraphRunner(folder / GRAPH).logits)
    return (folder / GRAPH).with_suffix(".bin").stat().st_size, fidelity.kl


def _row(chosen_by: str, size: int, kl: float) -> str:
    return table_row([chosen_by, f"{size / 1e6:.1f}", f"{kl:.4f}"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="sample")
    parser.add_argument("--noise", type=float, default=0.0)
    parser.add_argument("--ratio", type=float, default=0.8)
    parser.add_argument("--tokens", type=int, default=16384)
    arguments = parser.parse_args()
    print(f"{machine()}; {arguments.tokens} held-out tokens; int4 for {arguments.ratio:.0%}\n")
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        model = arguments.model
        if arguments.noise:
            (work / "noisy").mkdir()
            with quiet():
                model = perturbed(model, arguments.noise, work / "noisy")
        (work / "model").mkdir()
        artifacts = artifacts_of(model, work / "model", arguments.tokens)
        builder = TrialBuilder(artifacts, artifacts.captured / "openvino", Progress(lambda _: None))
        print(table_head(["layers in int8 by", "MB", "KL"]))
        sizes = []
        for metric in METRICS:
            size, kl = by_nncf(artifacts, metric, arguments.ratio, work / metric)
            sizes.append(size)
            print(_row(f"NNCF, {metric.lower()}", size, kl), flush=True)
        recipe = replace(Recipe(), target_size=min(sizes))
        trial = builder.make(recipe, work / "measured")
        print(_row("measured sensitivity", trial.graph.bytes, trial.fidelity.kl))


if __name__ == "__main__":
    main()
