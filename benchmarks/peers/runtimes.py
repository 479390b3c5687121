"""OpenVINO and ONNX Runtime under NanoAccel, and onnxruntime-genai, on the same model, interleaved.

    python -m benchmarks.peers.runtimes [--model sample] [--rounds 8] [--work FOLDER] [--json FILE]
    python -m benchmarks.peers.runtimes --curves
    python -m benchmarks.peers.runtimes --cold-start

Each engine runs in a process of its own and is asked in turn; what is printed is the median, and
the median of the ratios of neighboring runs. The bundle has graphs for both runtimes with the same
int4 weights; the peer's folder is what its builder makes (int4, groups of 32, int8 arithmetic).
Decoding is plain: benchmarks.studies.speculation measures speculation. With --curves instead: what
a pass costs by its tokens. With --cold-start instead: seconds from the start of a process to its
first token. All engines, in more kinds of rows: benchmarks.peers.run. Needs the extras openvino,
onnx, export and bench.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks.harness.engines import ENGINES
from benchmarks.harness.exports import Exports
from benchmarks.harness.figures import median_ratio, table
from benchmarks.harness.loads import random_tokens
from benchmarks.harness.machine import machine
from benchmarks.peers.pass_curves import curves

OURS = {"onnx": "nanoaccel-onnx", "openvino": "nanoaccel-openvino", "auto": "nanoaccel-auto"}
PEER = "onnxruntime-genai"
NAMES = {**OURS, PEER: PEER}
# Prompts at once, tokens of each, tokens that are written.
LOADS = {"1": (1, 128, 128), "8": (8, 128, 96)}


def prompts_of(count: int, tokens: int) -> list[list[int]]:
    """Random tokens."""
    chooser = random.Random(count * 10_000 + tokens)
    return [random_tokens(chooser, tokens) for _ in range(count)]


def measure(exports: Exports, rounds: int) -> dict[str, dict[str, list[dict[str, float]]]]:
    """By load and engine, the answers round by round."""
    found: dict[str, dict[str, list[dict[str, float]]]] = {
        load: {name: [] for name in NAMES} for load in LOADS
    }
    with ExitStack() as stack:
        workers = {
            name: stack.enter_context(ENGINES[engine].start(exports))
            for name, engine in NAMES.items()
        }
        for turn in range(rounds + 1):
            for load, (prompts, tokens, generate) in LOADS.items():
                for name, worker in workers.items():
                    asked = prompts_of(prompts, tokens)
                    answer = worker.generate(asked, generate)
                    if turn > 0:  # the first one warms up
                        found[load][name].append(
                            {
                                "prefill": prompts * tokens / answer.first,
                                "decode": prompts * (generate - 1) / (answer.total - answer.first),
                            }
                        )
            print(f"round {turn} of {rounds}", file=sys.stderr)
    return found


def report(found: Mapping[str, Mapping[str, Sequence[Mapping[str, float]]]]) -> str:
    """A row for each engine and load."""
    rows = []
    peer_alone = [answer["decode"] for answer in found["1"][PEER]]
    for load, engines in found.items():
        better = max(
            (engines["onnx"], engines["openvino"]),
            key=lambda answers: statistics.median(answer["decode"] for answer in answers),
        )
        best = [answer["decode"] for answer in better]
        for name, answers in engines.items():
            decode = [answer["decode"] for answer in answers]
            rows.append(
                [
                    load,
                    name,
                    f"{statistics.median(decode):.0f}",
                    f"{statistics.median(answer['prefill'] for answer in answers):.0f}",
                    _ratio(decode, [answer["decode"] for answer in engines[PEER]]),
                    _ratio(decode, peer_alone),
                    _ratio(decode, [answer["decode"] for answer in found["1"][name]]),
                    _ratio(decode, best),
                ]
            )
    header = ["at once", "engine", "decode t/s", "prefill t/s", f"over {PEER}"]
    header += [f"over one of {PEER}", "over its own one", "over the better of both runtimes"]
    return table(header, rows)


def _ratio(left: Sequence[float], right: Sequence[float]) -> str:
    return f"{median_ratio(left, right, float):.2f}x"


def cold_start(exports: Exports, rounds: int) -> str:
    """Seconds from the start of a process to its first token; default settings."""
    names = {name: NAMES[name] for name in ("onnx", "openvino", PEER)}
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(rounds + 1):
        for name, engine in names.items():
            ours = {"speculation": "auto"} if name in OURS else {}
            with ENGINES[engine].start(exports, ours) as worker:
                worker.generate(prompts_of(1, 8), 1)
                spent = time.perf_counter() - worker.began
            if turn > 0:
                seconds[name].append(spent)
    rows = [
        [name, f"{statistics.median(spent):.2f}", _ratio(seconds["onnx"], spent)]
        for name, spent in seconds.items()
    ]
    return table(["engine", "seconds", "onnx over it"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="sample", help="hub id, folder, .gguf file or sample")
    parser.add_argument("--rounds", type=int, default=8, help="interleaved runs of each engine")
    parser.add_argument("--work", type=Path, help="folder to keep the exports in")
    parser.add_argument("--json", type=Path, help="file for every single figure")
    parser.add_argument("--curves", action="store_true", help="costs of passes instead")
    parser.add_argument("--cold-start", action="store_true", help="times to a first token instead")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary) if arguments.work is None else arguments.work
        work.mkdir(parents=True, exist_ok=True)
        exports = Exports(arguments.model, work)
        print(machine())
        if arguments.curves:
            print(curves(exports.bundle(), arguments.rounds))
            return
        if arguments.cold_start:
            print(cold_start(exports, arguments.rounds))
            return
        found = measure(exports, arguments.rounds)
        print(report(found))
        if arguments.json is not None:
            arguments.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
