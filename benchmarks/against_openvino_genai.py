"""NanoAccel beside OpenVINO GenAI on the same model: decode, prefill and memory, interleaved.

    python benchmarks/against_openvino_genai.py [--model sample] [--rounds 12] [--json FILE]

Each engine runs in a process of its own and is asked in turn, so that a disturbance hits all of
them; what is printed is the median of the ratios of neighboring runs. The peers get the graph
that optimum-cli makes with int4 weights: with its default scheme (asymmetric) and with --sym,
group size 64 as ours. Needs the extras openvino, export and bench.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from workers import Worker, machine

from nanoaccel.exporters.quiet import quiet

ENGINES = {
    "nanoaccel": ("nanoaccel", "bundle"),
    "genai": ("genai", "peer-asym"),
    "genai --sym": ("genai", "peer-sym"),
}


def prepare(model: str, work: Path) -> None:
    """Export the bundle and both peers into ``work``, unless they are there."""
    from nanoaccel.exporters.pipeline import export
    from nanoaccel.exporters.source import load_model, resolve, write_tokenizer

    if not (work / "bundle").exists():
        export(model, work / "bundle")
    source = work / "source"
    if not source.exists():
        found = resolve(model)
        source.mkdir()
        with quiet():
            load_model(found, "int4").save_pretrained(source)
        write_tokenizer(found, source)
    for name, scheme in (("peer-asym", []), ("peer-sym", ["--sym"])):
        if not (work / name).exists():
            command = [str(Path(sys.executable).with_name("optimum-cli")), "export", "openvino"]
            command += ["--model", str(source), "--task", "text-generation-with-past"]
            command += ["--weight-format", "int4", "--group-size", "64", *scheme, str(work / name)]
            subprocess.run(command, check=True, capture_output=True)


@dataclass
class Figures:
    """What one engine did, run by run."""

    decode: list[float] = field(default_factory=list)
    prefill: list[float] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)


def measure_fidelity(work: Path) -> dict[str, float]:
    """KL divergence of each graph from the original model, nats a token."""
    from transformers import AutoModelForCausalLM

    from nanoaccel.calibration.datasets import CalibrationOptions, judging_windows
    from nanoaccel.calibration.reference import record
    from nanoaccel.exporters.encoder import HubEncoder
    from nanoaccel.exporters.openvino.runner import GraphRunner

    source = work / "source"
    with quiet():
        model = AutoModelForCausalLM.from_pretrained(source)
        context = model.config.max_position_embeddings
        judge = judging_windows(CalibrationOptions(), HubEncoder(source), 4096, context)
        reference = record(model, judge.name, judge.held_out, lambda _: None)
    graphs = {
        "nanoaccel": work / "bundle" / "openvino",
        **{name: work / folder for name, (kind, folder) in ENGINES.items() if kind == "genai"},
    }
    return {
        name: reference.judge(GraphRunner(folder / "openvino_model.xml").logits).kl
        for name, folder in graphs.items()
    }


def measure_memory(work: Path, rounds: int) -> dict[str, Figures]:
    """Peak anonymous memory of a fresh process that loads, reads 512 tokens and writes 64."""
    figures = {name: Figures() for name in ENGINES}
    for _ in range(rounds):
        for name, (kind, folder) in ENGINES.items():
            with Worker(kind, work / folder, watch_memory=True) as worker:
                worker.ask(prompt=512, generate=64)
                figures[name].memory.append(worker.peak_memory)
    return figures


def measure_speed(work: Path, rounds: int, figures: dict[str, Figures]) -> None:
    """Tokens a second: decode of 128 tokens after 256, prefill of 512."""
    workers = {name: Worker(kind, work / folder) for name, (kind, folder) in ENGINES.items()}
    for worker in workers.values():
        worker.ask(prompt=512, generate=16)
    for _ in range(rounds):
        for name, worker in workers.items():
            figures[name].decode.append(worker.ask(prompt=256, generate=128)["decode"])
        for name, worker in workers.items():
            figures[name].prefill.append(worker.ask(prompt=512, generate=2)["prefill"])
    for worker in workers.values():
        worker.close()


def report(figures: dict[str, Figures], divergence: dict[str, float]) -> str:
    """A table: medians, and the median ratio of ours to each peer's."""
    ours = figures["nanoaccel"]
    rows = [
        "| engine | decode t/s | prefill t/s | anonymous MB | KL | decode | prefill | memory |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, found in figures.items():
        cells = [
            f"{statistics.median(found.decode):.1f}",
            f"{statistics.median(found.prefill):.0f}",
            f"{statistics.median(found.memory) / 1e6:.0f}",
            f"{divergence[name]:.3f}",
            ratio(ours.decode, found.decode),
            ratio(ours.prefill, found.prefill),
            ratio(ours.memory, found.memory),
        ]
        rows.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def ratio(ours: list[float] | list[int], theirs: list[float] | list[int]) -> str:
    """Median of ours over theirs, run by run."""
    return f"{statistics.median(a / b for a, b in zip(ours, theirs, strict=True)):.2f}x"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="sample", help="hub id, folder, .gguf file or sample")
    parser.add_argument("--rounds", type=int, default=12, help="interleaved runs of each engine")
    parser.add_argument("--work", type=Path, help="folder to keep the exports in")
    parser.add_argument("--json", type=Path, help="file for every single figure")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary) if arguments.work is None else arguments.work
        work.mkdir(parents=True, exist_ok=True)
        prepare(arguments.model, work)
        divergence = measure_fidelity(work)
        figures = measure_memory(work, 3)
        measure_speed(work, arguments.rounds, figures)
    print(
        f"{machine()}; ratios are NanoAccel's over the engine's, medians of "
        f"{arguments.rounds} interleaved runs\n"
    )
    print(report(figures, divergence))
    if arguments.json is not None:
        found = {name: vars(entry) | {"kl": divergence[name]} for name, entry in figures.items()}
        arguments.json.write_text(json.dumps({"machine": machine(), "engines": found}, indent=2))


if __name__ == "__main__":
    main()
