"""NanoAccel beside other engines: the same model, the same prompts, in turn.

    python benchmarks/peers.py [--rows NAME ...] [--engines NAME ...] [--rounds 8] [--json FILE]
    python benchmarks/peers.py --quick

Each engine runs in a process of its own and is asked in turn, each round with new prompts; who
begins changes. What is printed is the median with quartiles, and the same of the ratios of
neighboring figures. Each peer has what its own tools make of the model at int4; transformers has
the float weights. Decoding is greedy, and plain but for engines that are named for how they guess.
llama.cpp is measured where llama_cpp can be imported, or with --llama-python. Needs the extras
openvino, onnx, export and bench. compare.py compares two files, pictures.py draws one.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import folders
import peer_rows
from fidelity import divergences
from results import Results, Row, caption, describe_machine, report, versions_here, versions_there
from workers import Answer, EngineFailed, Worker

from nanoaccel.bundle import Bundle
from nanoaccel.text import Tokenizer

LLAMA = "llama.cpp"
_PLAIN = {"speculation": "off"}
_OWN_ROWS = frozenset({"prompts", peer_rows.START})  # where guesses or defaults change anything


@dataclass(frozen=True, slots=True)
class Engine:
    """What is measured.

    Args:
        kind: A name in ``worker_kinds.KINDS``.
        folder: In the work folder.
        what: In words.
        options: Of its worker.
        rows: Those that it takes part in; None is all.
    """

    kind: str
    folder: str
    what: str
    options: Mapping[str, object] = field(default_factory=dict)
    rows: frozenset[str] | None = None


def _ours(backend: str) -> Engine:
    options = {"backend": backend, **_PLAIN}
    return Engine("nanoaccel", folders.BOTH, f"NanoAccel, plain, backend {backend}", options)


def _torch(dtype: str) -> Engine:
    return Engine("transformers", folders.SOURCE, f"transformers, {dtype}", {"dtype": dtype})


ENGINES = {
    "nanoaccel-openvino": _ours("openvino"),
    "nanoaccel-onnx": _ours("onnx"),
    "nanoaccel-auto": _ours("auto"),
    "nanoaccel-default": Engine(
        "nanoaccel", folders.BOTH, "NanoAccel, default settings", {}, _OWN_ROWS
    ),
    "genai": Engine("genai", "peer-asym", "OpenVINO GenAI, optimum's default int4"),
    "genai-sym": Engine("genai", "peer-sym", "OpenVINO GenAI, optimum's int4 --sym"),
    "genai-lookup": Engine(
        *("genai", "peer-sym", "OpenVINO GenAI, int4 --sym, prompt lookup"),
        {"lookup": True},
        _OWN_ROWS - {peer_rows.START},
    ),
    "onnxruntime-genai": Engine(
        "onnxruntime-genai", folders.ORT_GENAI, "onnxruntime-genai, its builder's int4"
    ),
    LLAMA: Engine("llama.cpp", "q4_0.gguf", "llama.cpp, Q4_0"),
    "transformers-f32": _torch("float32"),
    "transformers-bf16": _torch("bfloat16"),
}


class Runner:
    """Engines, and what they are asked.

    Args:
        engines: By name.
        work: Folder with what they open.
        python: The interpreter of each kind, where it is not this one.
    """

    def __init__(self, engines: Mapping[str, Engine], work: Path, python: Mapping[str, str]):
        self.engines = dict(engines)
        self._work = work
        self._python = python

    def start(self, name: str, *, watch_memory: bool = False) -> Worker:
        """A process that loads an engine."""
        engine = self.engines[name]
        return Worker(
            engine.kind,
            self._work / engine.folder,
            engine.options,
            watch_memory=watch_memory,
            python=self._python.get(engine.kind, sys.executable),
        )

    def taking(self, row: str) -> list[str]:
        """Names of the engines that take part in a row."""
        return [n for n, e in self.engines.items() if e.rows is None or row in e.rows]

    def measure(self, questioner: peer_rows.Questioner, names: Sequence[str]) -> Iterator[Row]:
        """Rows of engines that run side by side, each as soon as it is there."""
        found = {name: questioner.measurement(name) for name in names}
        with ExitStack() as stack:
            wanted = dict.fromkeys(engine for name in names for engine in self.taking(name))
            workers = {name: stack.enter_context(self.start(name)) for name in wanted}
            for name in list(workers):
                for question in questioner.warm_up(self.engines[name].rows is not None):
                    if name in workers:
                        self._ask(workers, name, question)
            for name, measurement in found.items():
                if measurement is None:
                    print(f"{name}: longer than the model's context", file=sys.stderr)
                    continue
                answers = self._rounds(workers, measurement, name)
                yield from _rows(measurement, answers)

    def _rounds(
        self, workers: dict[str, Worker], measurement: peer_rows.Measurement, row: str
    ) -> dict[str, list[list[Answer]]]:
        """Answers of each engine, by round."""
        names = self.taking(row)
        answers: dict[str, list[list[Answer]]] = {name: [] for name in names if name in workers}
        turn = 0
        for number, questions in enumerate(measurement.rounds):
            for name in answers:
                answers[name].append([])
            for question in questions:
                turn += 1
                order = list(answers)
                shift = turn % max(len(order), 1)
                for name in order[shift:] + order[:shift]:
                    answer = self._ask(workers, name, question)
                    if answer is None:
                        del answers[name]
                    else:
                        answers[name][-1].append(answer)
            print(f"{row}: round {number + 1} of {len(measurement.rounds)}", file=sys.stderr)
        return answers

    def _ask(
        self, workers: dict[str, Worker], name: str, question: peer_rows.Question
    ) -> Answer | None:
        try:
            return workers[name].write(
                question.prompts, generate=question.generate, endless=question.endless
            )
        except EngineFailed as error:
            self._drop(name, error)
            del workers[name]
            return None

    def _drop(self, name: str, error: EngineFailed) -> None:
        print(f"{name} is left out: {error}", file=sys.stderr)
        del self.engines[name]

    def start_up(self, questioner: peer_rows.Questioner, rounds: int) -> list[Row]:
        """Rows of fresh processes: time to a first token, then memory of a longer answer."""
        names = self.taking(peer_rows.START)
        seconds: dict[str, list[float]] = {name: [] for name in names}
        memory: dict[str, list[dict[str, int]]] = {name: [] for name in names}
        for turn in range(rounds + 1):
            for name in list(seconds):
                try:
                    with self.start(name, watch_memory=True) as worker:
                        first = questioner.first(turn, 16, 1)
                        worker.write(first.prompts, generate=1)
                        spent = time.perf_counter() - worker.began
                        longer = questioner.first(turn, 512, 64)
                        worker.write(longer.prompts, generate=longer.generate)
                except EngineFailed as error:
                    self._drop(name, error)
                    del seconds[name], memory[name]
                    continue
                if turn > 0:  # files are cached from the first one on
                    seconds[name].append(spent)
                    memory[name].append(worker.peak_memory)
            print(f"start: round {turn} of {rounds}", file=sys.stderr)
        return [
            Row(name, unit, False, figures)
            for name, unit, figures in peer_rows.start_rows(seconds, memory)
        ]


def _rows(
    measurement: peer_rows.Measurement, answers: Mapping[str, Sequence[Sequence[Answer]]]
) -> list[Row]:
    """The rows that the answers of all rounds make."""
    rows = []
    for figure in measurement.figures:
        figures = {
            name: [
                figure.count(questions, given)
                for questions, given in zip(measurement.rounds, rounds, strict=True)
            ]
            for name, rounds in answers.items()
        }
        rows.append(Row(figure.name, peer_rows.TOKENS_PER_SECOND, True, figures))
    return rows


def prepare(arguments: argparse.Namespace, work: Path) -> dict[str, Engine]:
    """Make what the engines open; gives those that can be had."""
    model, engines = arguments.model, {}
    for name in arguments.engines:
        engine = ENGINES[name]
        if engine.folder in folders.GENAI:
            folders.write_genai(model, work, engine.folder, arguments.group_size)
        elif engine.folder == folders.ORT_GENAI:
            folders.write_ort_genai(model, work)
        elif engine.folder == folders.SOURCE:
            folders.write_source(model, work)
        elif name == LLAMA:
            if arguments.llama_python is None and importlib.util.find_spec("llama_cpp") is None:
                print(f"{LLAMA} is left out: llama_cpp is not installed", file=sys.stderr)
                continue
            if arguments.gguf is not None:
                engine = Engine(engine.kind, str(arguments.gguf.resolve()), arguments.gguf.name)
            else:
                folders.write_q4_0(model, work, arguments.llama_python or sys.executable)
        engines[name] = engine
    return engines


def _fidelity(model: str, work: Path, engines: Mapping[str, Engine]) -> Row:
    """KL of those graphs that OpenVINO runs; a bundle's two graphs have the same weights."""
    places = {folders.BOTH: "openvino", **dict.fromkeys(folders.GENAI, ".")}
    graphs = {
        name: work / engine.folder / places[engine.folder] / "openvino_model.xml"
        for name, engine in engines.items()
        if engine.folder in places and engine.rows is None
    }
    found = divergences(folders.write_source(model, work), graphs)
    return Row("KL to the original", "nats", False, {name: [kl] for name, kl in found.items()})


def run(arguments: argparse.Namespace, work: Path) -> Results:
    """Prepare, measure, and put it all together."""
    made = folders.write_bundle(arguments.model, work, "both", arguments.group_size)
    bundle = Bundle.open(made)
    engines = prepare(arguments, work)
    llama = arguments.llama_python
    runner = Runner(engines, work, {} if llama is None else {"llama.cpp": llama})
    questioner = peer_rows.Questioner(
        Tokenizer.load(bundle.tokenizer_folder),
        bundle.context_length,
        arguments.rounds,
        arguments.quick,
    )
    versions = versions_here()
    if llama is not None and LLAMA in engines:
        versions |= versions_there(llama)

    def together(rows: list[Row]) -> Results:
        return Results(
            machine=describe_machine(),
            versions=versions,
            model={
                "name": arguments.model,
                "group_size": arguments.group_size,
                "quick": arguments.quick,
            },
            engines={name: engine.what for name, engine in runner.engines.items()},
            rows=rows,
        )

    rows: list[Row] = []
    for row in _measured(arguments, runner, questioner, work):
        rows.append(row)
        if arguments.json is not None:  # what there is outlives an interruption
            together(rows).save(arguments.json)
    return together(rows)


def _measured(
    arguments: argparse.Namespace, runner: Runner, questioner: peer_rows.Questioner, work: Path
) -> Iterator[Row]:
    """All rows that were asked for."""
    asked = [n for n in arguments.rows if n not in (peer_rows.START, peer_rows.FIDELITY)]
    if asked:
        yield from (row for row in runner.measure(questioner, asked) if row.figures)
    if peer_rows.START in arguments.rows:
        found = runner.start_up(questioner, min(arguments.rounds, 5))
        yield from (row for row in found if row.figures)
    if peer_rows.FIDELITY in arguments.rows:
        yield _fidelity(arguments.model, work, runner.engines)


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("--model", default="sample", help="as for export, or random-1.1b")
    add(
        "--group-size",
        type=int,
        default=folders.GROUP_SIZE,
        help="of int4 weights, ours and GenAI's",
    )
    add("--rows", nargs="+", choices=peer_rows.NAMES, help="what to measure; default: all")
    add("--engines", nargs="+", choices=list(ENGINES), default=list(ENGINES), help="of whom")
    add("--rounds", type=int, help="figures of each engine in a row; default: 8, quick 6")
    add("--quick", action="store_true", help="short answers, few prompts, only 1k of context")
    add("--reference", default="genai", help="engine that ratios in the table are over")
    add("--llama-python", metavar="PATH", help="interpreter that has llama_cpp")
    add("--gguf", type=Path, help="file for llama.cpp, instead of the model's own at Q4_0")
    add("--work", type=Path, help="folder to keep the exports in")
    add("--json", type=Path, help="file for every single figure")
    arguments = parser.parse_args(argv)
    if arguments.rows is None:
        arguments.rows = list(peer_rows.QUICK if arguments.quick else peer_rows.NAMES)
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
