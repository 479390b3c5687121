"""Asks engines in turn and makes rows of results from their answers."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack

from benchmarks.harness.engines import Engine
from benchmarks.harness.exports import Exports
from benchmarks.harness.figures import in_turn
from benchmarks.harness.results import Row
from benchmarks.harness.worker import Answer, EngineFailed, Worker
from benchmarks.peers import workload
from benchmarks.peers.workload import START, Batch, Measurement, Workload

# Rows of engines that speculate; the others take part in all of them.
_SPECULATING = {
    "nanoaccel-default": frozenset({"prompts", START}),
    "genai-lookup": frozenset({"prompts"}),
}


def is_plain(engine: str) -> bool:
    """Whether an engine decodes without speculation."""
    return engine not in _SPECULATING


class Runner:
    """Engines, and what they are asked.

    Args:
        engines: By name; one that fails is taken out.
        exports: What they open.
    """

    def __init__(self, engines: Mapping[str, Engine], exports: Exports) -> None:
        self.engines = dict(engines)
        self._exports = exports

    def measure(self, asked: Workload, names: Sequence[str]) -> Iterator[Row]:
        """Rows of engines that run side by side, each as soon as it is there."""
        found = {name: asked.measurement(name) for name in names}
        with ExitStack() as stack:
            wanted = dict.fromkeys(engine for name in names for engine in self._taking(name))
            workers = {
                name: stack.enter_context(self.engines[name].start(self._exports))
                for name in wanted
            }
            for name in list(workers):
                for batch in asked.warm_up(speculates=not is_plain(name)):
                    if name in workers:
                        self._ask(workers, name, batch)
            for name, measurement in found.items():
                if measurement is None:
                    print(f"{name}: longer than the model's context", file=sys.stderr)
                    continue
                yield from _rows(measurement, self._rounds(workers, measurement, name))

    def start_up(self, asked: Workload, rounds: int) -> list[Row]:
        """Rows of fresh processes: time to a first token, then memory of a longer answer."""
        names = self._taking(START)
        seconds: dict[str, list[float]] = {name: [] for name in names}
        memory: dict[str, list[dict[str, int]]] = {name: [] for name in names}
        for turn in range(rounds + 1):
            for name in list(seconds):
                try:
                    with self.engines[name].start(self._exports, watch_memory=True) as worker:
                        worker.generate(asked.first(turn, 16, 1).prompts, 1)
                        spent = time.perf_counter() - worker.began
                        longer = asked.first(turn, 512, 64)
                        worker.generate(longer.prompts, longer.max_tokens)
                except EngineFailed as error:
                    self._drop(name, error)
                    del seconds[name], memory[name]
                    continue
                if turn > 0:  # files are cached from the first one on
                    seconds[name].append(spent)
                    memory[name].append(worker.peak_memory)
            print(f"start: round {turn} of {rounds}", file=sys.stderr)
        return workload.start_rows(seconds, memory)

    def _taking(self, row: str) -> list[str]:
        """Names of the engines that take part in a row."""
        return [name for name in self.engines if row in _SPECULATING.get(name, (row,))]

    def _rounds(
        self, workers: dict[str, Worker], measurement: Measurement, row: str
    ) -> dict[str, list[list[Answer]]]:
        """Answers of each engine, by round."""
        names = self._taking(row)
        answers: dict[str, list[list[Answer]]] = {name: [] for name in names if name in workers}
        turn = 0
        for number, batches in enumerate(measurement.rounds):
            for name in answers:
                answers[name].append([])
            for batch in batches:
                turn += 1
                for name in in_turn(answers, turn):
                    answer = self._ask(workers, name, batch)
                    if answer is None:
                        del answers[name]
                    else:
                        answers[name][-1].append(answer)
            print(f"{row}: round {number + 1} of {len(measurement.rounds)}", file=sys.stderr)
        return answers

    def _ask(self, workers: dict[str, Worker], name: str, batch: Batch) -> Answer | None:
        try:
            return workers[name].generate(
                batch.prompts, batch.max_tokens, ignore_eos=batch.ignore_eos
            )
        except EngineFailed as error:
            self._drop(name, error)
            del workers[name]
            return None

    def _drop(self, name: str, error: EngineFailed) -> None:
        print(f"{name} is left out: {error}", file=sys.stderr)
        del self.engines[name]


def _rows(measurement: Measurement, answers: Mapping[str, Sequence[Sequence[Answer]]]) -> list[Row]:
    """The rows that the answers of all rounds make."""
    rows = []
    for figure in measurement.figures:
        figures = {
            name: [
                figure.count(batches, given)
                for batches, given in zip(measurement.rounds, rounds, strict=True)
            ]
            for name, rounds in answers.items()
        }
        rows.append(Row(figure.name, workload.TOKENS_PER_SECOND, True, figures))
    return rows
