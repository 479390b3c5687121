"""NanoAccel beside other engines: the same model, the same prompts, in turn.

    python -m benchmarks.peers.run [--rows NAME ...] [--engines NAME ...] [--rounds 8] [--json FILE]
    python -m benchmarks.peers.run --quick

Each engine runs in a process of its own and is asked in turn, each round with new prompts; who
begins changes. What is printed is the median with quartiles, and the same of the ratios of
neighboring figures. Each peer has what its own tools make of the model at int4; transformers has
the float weights. Decoding is greedy, and plain but for engines that are named for how they
speculate. llama.cpp is measured where llama_cpp can be imported, or with --llama-python. Needs the
extras openvino, onnx, export and bench. benchmarks.peers.compare compares two files,
benchmarks.peers.pictures draws one.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.harness.engines import ENGINES, LLAMA, Engine
from benchmarks.harness.exports import GROUP_SIZE, Exports
from benchmarks.harness.machine import describe_machine, versions_here, versions_there
from benchmarks.harness.results import Results, Row, caption, report
from benchmarks.peers import workload
from benchmarks.peers.fidelity import divergences
from benchmarks.peers.runner import Runner, is_plain
from benchmarks.peers.workload import FIDELITY, START, Workload
from nanoaccel.bundle import Bundle
from nanoaccel.text import Tokenizer

PEERS = [name for name in ENGINES if not name.endswith("-serving")]


def prepare(names: Sequence[str], exports: Exports) -> dict[str, Engine]:
    """Make what the engines open; gives those that can be had."""
    engines = {}
    for name in names:
        engine = ENGINES[name]
        if name == LLAMA:
            here = exports.llama_python == sys.executable
            if here and importlib.util.find_spec("llama_cpp") is None:
                print(f"{LLAMA} is left out: llama_cpp is not installed", file=sys.stderr)
                continue
            if exports.gguf is not None:
                engine = replace(engine, about=exports.gguf.name)
        engine.make(exports)
        engines[name] = engine
    return engines


def fidelity(exports: Exports, engines: Mapping[str, Engine]) -> Row:
    """KL of those graphs that OpenVINO runs; a bundle's two graphs have the same weights."""
    graphs = {}
    for name in filter(is_plain, engines):
        folder = engines[name].make(exports)
        for graph in (folder / "openvino/openvino_model.xml", folder / "openvino_model.xml"):
            if graph.is_file():
                graphs[name] = graph
    found = divergences(exports.source(), graphs)
    return Row("KL to the original", "nats", False, {name: [kl] for name, kl in found.items()})


def run(arguments: argparse.Namespace, work: Path) -> Results:
    """Prepare, measure, and put it all together."""
    exports = Exports(
        arguments.model,
        work,
        arguments.group_size,
        arguments.llama_python,
        None if arguments.gguf is None else arguments.gguf.resolve(),
    )
    bundle = Bundle.open(exports.bundle())
    runner = Runner(prepare(arguments.engines, exports), exports)
    asked = Workload(
        Tokenizer.load(bundle.tokenizer_folder),
        bundle.context_length,
        arguments.rounds,
        arguments.quick,
    )
    versions = versions_here()
    if LLAMA in runner.engines:
        versions |= versions_there(arguments.llama_python)

    def together(rows: list[Row]) -> Results:
        return Results(
            machine=describe_machine(),
            versions=versions,
            model={
                "name": arguments.model,
                "group_size": arguments.group_size,
                "quick": arguments.quick,
            },
            engines={name: engine.about for name, engine in runner.engines.items()},
            rows=rows,
        )

    rows: list[Row] = []
    for row in measured(arguments, runner, asked, exports):
        rows.append(row)
        if arguments.json is not None:  # what there is outlives an interruption
            together(rows).save(arguments.json)
    return together(rows)


def measured(
    arguments: argparse.Namespace, runner: Runner, asked: Workload, exports: Exports
) -> Iterator[Row]:
    """All rows that were asked for."""
    names = [name for name in arguments.rows if name not in (START, FIDELITY)]
    if names:
        yield from (row for row in runner.measure(asked, names) if row.figures)
    if START in arguments.rows:
        found = runner.start_up(asked, min(arguments.rounds, 5))
        yield from (row for row in found if row.figures)
    if FIDELITY in arguments.rows:
        yield fidelity(exports, runner.engines)


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("--model", default="sample", help="as for export, or random-1.1b")
    about = "of int4 weights, ours and GenAI's"
    add("--group-size", type=int, default=GROUP_SIZE, help=about)
    add("--rows", nargs="+", choices=workload.NAMES, help="what to measure; default: all")
    add("--engines", nargs="+", choices=PEERS, default=PEERS, help="of whom")
    add("--rounds", type=int, help="figures of each engine in a row; default: 8, quick 6")
    add("--quick", action="store_true", help="short answers, few prompts, only 1k of context")
    add("--reference", default="genai", help="engine that ratios in the table are over")
    about = "interpreter that has llama_cpp"
    add("--llama-python", metavar="PATH", default=sys.executable, help=about)
    add("--gguf", type=Path, help="file for llama.cpp, instead of the model's own at Q4_0")
    add("--work", type=Path, help="folder to keep the exports in")
    add("--json", type=Path, help="file for every single figure")
    arguments = parser.parse_args(argv)
    if arguments.rows is None:
        arguments.rows = list(workload.QUICK if arguments.quick else workload.NAMES)
    if arguments.rounds is None:
        arguments.rounds = 6 if arguments.quick else 8
    if arguments.rounds < 1:
        parser.error("--rounds has to be 1 or more")
    return arguments


def main() -> None:
    arguments = parse()
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary) if arguments.work is None else arguments.work.resolve()
        work.mkdir(parents=True, exist_ok=True)
        results = run(arguments, work)
    print(caption(results) + "\n")
    print(report(results, arguments.reference))


if __name__ == "__main__":
    main()
