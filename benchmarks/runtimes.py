"""OpenVINO and ONNX Runtime under NanoAccel, and onnxruntime-genai, on the same model, interleaved.

    python benchmarks/runtimes.py [--model sample] [--rounds 8] [--work FOLDER] [--json FILE]
    python benchmarks/runtimes.py --curves
    python benchmarks/runtimes.py --cold-start

Each engine runs in a process of its own and is asked in turn; what is printed is the median, and
the median of the ratios of neighboring runs. The bundle has graphs for both runtimes with the same
int4 weights; the peer's folder is what its builder makes (int4, groups of 32, int8 arithmetic).
Decoding is plain: guesses are measured by speculation.py --bundle. With --curves instead: what a
pass costs by its tokens. With --cold-start instead: seconds from the start of a process to its
first token. All engines, in more kinds of rows: peers.py. Needs the extras openvino, onnx, export
and bench.
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
from dataclasses import dataclass
from pathlib import Path

from figures import table
from folders import BOTH, ORT_GENAI, write_bundle, write_ort_genai
from workers import Worker, machine

PEER = "onnxruntime-genai"
# Prompts at once, tokens of each, tokens that are written.
LOADS = {"1": (1, 128, 128), "8": (8, 128, 96)}
SIZES = (1, 2, 4, 8, 16, 32, 64, 128)


@dataclass(frozen=True, slots=True)
class Engine:
    """What is measured.

    Args:
        kind: Of its worker.
        folder: In the work folder.
        options: Arguments of ``LLM``.
    """

    kind: str
    folder: str
    options: Mapping[str, object]


def ours(backend: str) -> Engine:
    """NanoAccel on a backend, without guesses."""
    return Engine("nanoaccel", BOTH, {"backend": backend, "speculation": "off"})


ENGINES = {
    "onnx": ours("onnx"),
    "openvino": ours("openvino"),
    "auto": ours("auto"),
    PEER: Engine(PEER, ORT_GENAI, {}),
}


def prepare(model: str, work: Path) -> None:
    """Export the bundle with both graphs, and the peer's folder, unless they are there."""
    write_bundle(model, work, "both")
    write_ort_genai(model, work)


def prompts_of(count: int, tokens: int) -> list[list[int]]:
    """Random tokens."""
    chooser = random.Random(count * 10_000 + tokens)
    return [chooser.choices(range(1000, 20000), k=tokens) for _ in range(count)]


def measure(work: Path, rounds: int) -> dict[str, dict[str, list[dict[str, float]]]]:
    """By load and engine, the answers round by round."""
    found: dict[str, dict[str, list[dict[str, float]]]] = {
        load: {name: [] for name in ENGINES} for load in LOADS
    }
    with ExitStack() as stack:
        workers = {
            name: stack.enter_context(Worker(engine.kind, work / engine.folder, engine.options))
            for name, engine in ENGINES.items()
        }
        for turn in range(rounds + 1):
            for load, (prompts, tokens, generate) in LOADS.items():
                for name, worker in workers.items():
                    asked = prompts_of(prompts, tokens)
                    answer = worker.write(asked, generate=generate)
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
    return f"{statistics.median(a / b for a, b in zip(left, right, strict=True)):.2f}x"


def curves(work: Path, rounds: int) -> str:
    """Milliseconds of a pass by its tokens, of one sequence and of as many."""
    import numpy as np

    from nanoaccel.bundle import Bundle
    from nanoaccel.runtime.backends import Backend
    from nanoaccel.runtime.config import EngineConfig
    from nanoaccel.runtime.execution.loader import CacheSize, load
    from nanoaccel.runtime.kv import make_cache
    from nanoaccel.runtime.types.packing import even_plan

    bundle, past = Bundle.open(work / BOTH), 256
    plans: dict[tuple[str, int, int], tuple[Backend, object]] = {}
    for runtime in bundle.runtimes:
        model = load(bundle, runtime, EngineConfig(), CacheSize(lambda _: 16 * 16, 16, 512))
        backend, shape = model.backend, model.shape
        cache = make_cache(shape, backend, sharing=False)
        blocks = []
        for sequence in range(16):
            cache.allocate(sequence, past + 128)
            out = np.empty(shape.num_blocks, np.int32)
            blocks.append(out[: cache.block_ids(sequence, past + 128, out)].tolist())
        for count in SIZES:
            plans[runtime, 1, count] = backend, even_plan(blocks[:1], past, count)
            if count <= 16:
                plans[runtime, count, 1] = backend, even_plan(blocks[:count], past, 1)
    least = dict.fromkeys(plans, float("inf"))
    for _ in range(rounds):
        for key, (backend, plan) in plans.items():
            for _ in range(3):
                begin = time.perf_counter()
                backend.forward(plan)  # type: ignore[arg-type]
                least[key] = min(least[key], time.perf_counter() - begin)
    rows = []
    for count in SIZES:
        cells = [str(count)]
        for shape_of in ((1, count), (count, 1)):
            for runtime in bundle.runtimes:
                seconds = least.get((runtime, *shape_of))
                cells.append("" if seconds is None else f"{1e3 * seconds:.1f}")
        rows.append(cells)
    header = ["tokens"]
    for what in ("of one sequence", "one of each sequence"):
        header += [f"{runtime}, {what}" for runtime in bundle.runtimes]
    return table(header, rows)


def cold_start(work: Path, rounds: int) -> str:
    """Seconds from the start of a process to its first token; default settings."""
    starts = {
        "onnx": Engine("nanoaccel", BOTH, {"backend": "onnx"}),
        "openvino": Engine("nanoaccel", BOTH, {"backend": "openvino"}),
        PEER: ENGINES[PEER],
    }
    seconds: dict[str, list[float]] = {name: [] for name in starts}
    for turn in range(rounds + 1):
        for name, engine in starts.items():
            with Worker(engine.kind, work / engine.folder, engine.options) as worker:
                worker.write(prompts_of(1, 8), generate=1)
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
        prepare(arguments.model, work)
        print(machine())
        if arguments.curves:
            print(curves(work, arguments.rounds))
            return
        if arguments.cold_start:
            print(cold_start(work, arguments.rounds))
            return
        found = measure(work, arguments.rounds)
        print(report(found))
        if arguments.json is not None:
            arguments.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
