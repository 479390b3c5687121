"""NanoAccel beside OpenVINO GenAI's continuous batching: many requests at once, interleaved.

    python -m benchmarks.peers.throughput [--model sample] [--rounds 5] [--json FILE]
    python -m benchmarks.peers.throughput --interference
    python -m benchmarks.peers.throughput --prefix

Each engine runs in a process of its own and is asked in turn, with the same requests at the same
times; what is printed is the median over the rounds, and the median of the ratios of neighboring
runs. The load is a closed loop (a number of requests is open at any time), then Poisson arrivals:
prompts of 16 to 512 random tokens, all different, 128 generated tokens each. With --interference
instead: what long prompts do to eight requests that are decoding. With --prefix instead: time to
the first token of a prompt of 1,500 tokens, when its beginning is new, known, or known from before
a restart. The peers are NNCF's int4, asymmetric and symmetric. Needs the extras openvino,
onnx, export and bench.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any

from benchmarks.harness.engines import ENGINES, Engine
from benchmarks.harness.exports import Exports
from benchmarks.harness.figures import Pacing, median_of, median_ratio, milliseconds, table
from benchmarks.harness.loads import GENERATED, Load, closed_loop, poisson
from benchmarks.harness.machine import machine
from benchmarks.harness.worker import Worker
from benchmarks.peers import interference, prefix_reuse
from nanoaccel.runtime.types import defaults

_RATE_SHARE = 0.7
OURS = "nanoaccel-plain-serving"
PEERS = {"asym": "genai-serving", "sym": "genai-sym-serving"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a mode found: a line that says what is shown, a table, and every figure."""

    caption: str
    table: str
    figures: dict[str, Any]


Workers = Mapping[str, Worker]
Paced = dict[str, list[Pacing]]


def chosen(arguments: argparse.Namespace) -> dict[str, Engine]:
    """NanoAccel and the peers that were asked for."""
    peers = [engine for scheme, engine in PEERS.items() if scheme in arguments.peers]
    return {name: ENGINES[name] for name in (OURS, *peers)}


@contextmanager
def started(
    arguments: argparse.Namespace, exports: Exports, ours: Mapping[str, object]
) -> Iterator[Workers]:
    """The engines in processes of their own, warmed up."""
    with ExitStack() as stack:
        workers = {
            name: stack.enter_context(engine.start(exports, ours if name == OURS else None))
            for name, engine in chosen(arguments).items()
        }
        for worker in workers.values():
            worker.play(closed_loop(4, 4, seed=0))
        yield workers


def measure(workers: Workers, rounds: int, load: Callable[[int], Load]) -> Paced:
    """Play a load on each engine in turn; ``load`` makes it from a seed."""
    found: Paced = {name: [] for name in workers}
    for number in range(rounds):
        asked = load(number + 1)
        for name, worker in workers.items():
            run = Pacing.of(worker.play(asked))
            print(f"{name}: {run.tokens_per_second:.0f} tokens/s", file=sys.stderr)
            found[name].append(run)
    return found


def default_rate(paced: Paced) -> float:
    """Requests a second that leave even the slowest engine some room."""
    slowest = min(median_of(runs, lambda p: p.tokens_per_second) for runs in paced.values())
    return _RATE_SHARE * slowest / GENERATED


def report(loads: Mapping[str, Paced]) -> str:
    """A table: medians over the rounds, and the median ratio of ours to each engine's."""
    header = ["load", "engine", "tokens/s", "first token p50 / p95 / p99 ms"]
    header += ["per token p50 / p95 / p99 ms", "speed", "first token", "per token"]
    rows = []
    for load, paced in loads.items():
        for name, runs in paced.items():
            rows.append([load, name, *_medians(runs), *_ratios(paced[OURS], runs)])
    return table(header, rows)


def _medians(runs: list[Pacing]) -> list[str]:
    speed = median_of(runs, lambda p: p.tokens_per_second)
    return [f"{speed:.0f}", _spread(runs, "first_token"), _spread(runs, "per_token")]


def _spread(runs: list[Pacing], figure: str) -> str:
    tails = (attrgetter(f"{figure}.{tail}") for tail in ("p50", "p95", "p99"))
    return milliseconds(*(median_of(runs, tail) for tail in tails))


def _ratios(ours: list[Pacing], theirs: list[Pacing]) -> list[str]:
    figures: list[Callable[[Pacing], float]] = [
        lambda p: p.tokens_per_second,
        lambda p: p.first_token.p50,
        lambda p: p.per_token.p50,
    ]
    return [f"{median_ratio(ours, theirs, figure):.2f}x" for figure in figures]


def run_loads(arguments: argparse.Namespace, exports: Exports) -> Outcome:
    """The closed loops and the Poisson arrivals."""
    loads: dict[str, Paced] = {}
    rounds, rate = arguments.rounds, arguments.rate
    ours = {"max_running": max(defaults.RUNNING, *arguments.concurrency)}
    with started(arguments, exports, ours) as workers:
        for slots in arguments.concurrency:
            make = partial(closed_loop, slots, slots * arguments.requests_per_slot)
            found = measure(workers, rounds, make)
            loads[f"{slots} at once"] = found
        if rate is None:
            rate = default_rate(found)
        name = f"{rate:.2f} a second"
        loads[name] = measure(workers, rounds, partial(poisson, rate, arguments.requests))
    caption = "ratios are NanoAccel's over the engine's"
    return Outcome(caption, report(loads), {load: _plain(paced) for load, paced in loads.items()})


def run_interference(arguments: argparse.Namespace, exports: Exports) -> Outcome:
    """The decoding requests, quiet and disturbed."""
    with started(arguments, exports, {}) as workers:
        found = interference.measure(workers, arguments.rounds)
    caption = (
        "time per token of eight requests, alone and with a prompt of 1,500 tokens each second"
    )
    return Outcome(caption, interference.report(found), _plain(found))


def run_prefix(arguments: argparse.Namespace, exports: Exports) -> Outcome:
    """The long prompts with a common beginning."""
    found = prefix_reuse.measure(chosen(arguments), exports, arguments.rounds)
    caption = "time to the first token of 1,500 known tokens and 20 new ones"
    return Outcome(caption, prefix_reuse.report(found), _plain(found))


def _plain(found: Mapping[str, list[Any]]) -> dict[str, list[dict[str, Any]]]:
    return {name: [asdict(run) for run in runs] for name, runs in found.items()}


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="sample", help="hub id, folder, .gguf file or sample")
    parser.add_argument("--rounds", type=int, default=5, help="interleaved runs of each engine")
    parser.add_argument("--work", type=Path, help="folder to keep the exports in")
    parser.add_argument("--json", type=Path, help="file for every single figure")
    parser.add_argument(
        "--concurrency",
        type=int,
        nargs="+",
        default=[8, 16, 32],
        metavar="N",
        help="requests open at any time, one closed loop for each",
    )
    parser.add_argument("--requests-per-slot", type=int, default=1, help="of the closed loop")
    parser.add_argument(
        "--rate",
        type=float,
        help="Poisson arrivals a second; 0.7 of what the slowest did in the last closed loop",
    )
    parser.add_argument("--requests", type=int, default=32, help="Poisson arrivals in a run")
    parser.add_argument(
        "--peers",
        nargs="*",
        choices=list(PEERS),
        default=list(PEERS),
        help="whom to compare with; nothing is nobody",
    )
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--interference", dest="run", action="store_const", const=run_interference)
    mode.add_argument("--prefix", dest="run", action="store_const", const=run_prefix)
    parser.set_defaults(run=run_loads)
    return parser.parse_args()


def main() -> None:
    arguments = parse()
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary) if arguments.work is None else arguments.work
        work.mkdir(parents=True, exist_ok=True)
        exports = Exports(arguments.model, work)
        for engine in chosen(arguments).values():
            engine.make(exports)
        outcome: Outcome = arguments.run(arguments, exports)
    print(f"{machine()}; {outcome.caption}; medians of {arguments.rounds} interleaved runs\n")
    print(outcome.table)
    if arguments.json is not None:
        found = {"machine": machine(), "found": outcome.figures}
        arguments.json.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
