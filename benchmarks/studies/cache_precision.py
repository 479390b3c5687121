"""What each precision of the key-value cache costs in fidelity, and gives in memory and speed.

    python -m benchmarks.studies.cache_precision BUNDLE [--runtime onnx] [--text FILE]
        [--windows 6] [--texts 8]

The bundle reads the same text once with each precision, in windows of 1,024 tokens that are
computed 128 at a time, so that later tokens attend to what was cached. KL is the divergence of the
predictions from those with the widest cache that this CPU can do. Speed is that of a single token
for each of ``--texts`` behind a full window, the precisions in turn; what is printed is the median
of the ratios of neighboring steps.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np

from benchmarks.harness.figures import median_ratio, table
from benchmarks.harness.machine import machine
from nanoaccel.bundle import Bundle
from nanoaccel.calibration.metrics import log_softmax
from nanoaccel.errors import ConfigError
from nanoaccel.registry import BACKENDS
from nanoaccel.runtime.backends import Backend, BackendOptions, CachePrecision
from nanoaccel.runtime.types.packing import even_plan
from nanoaccel.runtime.types.plan import Float32Array, Int64Array, StepPlan
from nanoaccel.text import Tokenizer

_WIDEST_FIRST = ("f32", "f16", "bf16")
WINDOW, CHUNK = 1024, 128
_WARM_UP = 2
DOCS = Path(__file__).parents[2] / "docs"


@dataclass
class Figures:
    """Sums over the text, in nats, for one precision."""

    surprise: float = 0.0
    divergence: float = 0.0


def load(bundle: Bundle, runtime: str, texts: int) -> dict[str, Backend]:
    """A backend with room for windows, for each precision that this CPU can do."""
    loaded = {}
    for precision in sorted(set(get_args(CachePrecision)) - {"auto"}):
        options = BackendOptions(
            graph=bundle.graph_for(runtime),
            cache_precision=precision,
            weight_group_size=bundle.weight_group_size,
        )
        try:
            backend = BACKENDS.resolve(runtime)(options)
        except ConfigError as error:
            print(f"{precision}: {error.problem}\n")
            continue
        backend.allocate_cache(texts * _blocks(backend))
        loaded[precision] = backend
    return loaded


def reference(backends: dict[str, Backend]) -> str:
    """What the others are compared with."""
    return next(precision for precision in _WIDEST_FIRST if precision in backends)


def forward(backend: Backend, tokens: Int64Array, start: int, end: int) -> Float32Array:
    """Compute ``tokens[start:end]``; gives logits f32[end - start, V]."""
    count = end - start
    blocks = -(-end // backend.info.block_size)
    plan = StepPlan(
        token_ids=tokens[start:end],
        positions=np.arange(start, end),
        seq_begins=np.array([0, count], np.int32),
        past_lens=np.array([start], np.int32),
        block_ids=np.arange(blocks, dtype=np.int32),
        block_begins=np.array([0, blocks], np.int32),
        logits_rows=np.arange(count),
    )
    return backend.forward(plan).logits


def measure_fidelity(backends: dict[str, Backend], tokens: Int64Array) -> dict[str, Figures]:
    """Read a text i64[windows * WINDOW + 1]; each token but the first is predicted once."""
    figures = {precision: Figures() for precision in backends}
    for begin in range(0, len(tokens) - 1, WINDOW):
        window = tokens[begin : begin + WINDOW + 1]
        for start in range(0, WINDOW, CHUNK):
            end = start + CHUNK
            found = {
                precision: log_softmax(forward(backend, window, start, end))
                for precision, backend in backends.items()
            }
            expected = found[reference(backends)]
            for precision, predictions in found.items():
                hits = predictions[np.arange(CHUNK), window[start + 1 : end + 1]]
                figures[precision].surprise -= hits.sum()
                difference = np.exp(expected) * (expected - predictions)
                figures[precision].divergence += difference.sum()
    return figures


def measure_steps(backends: dict[str, Backend], rounds: int, texts: int) -> dict[str, list[float]]:
    """Seconds of a token for each of so many texts behind a window, the backends in turn."""
    seconds: dict[str, list[float]] = {precision: [] for precision in backends}
    steps = {name: _step(backend, texts) for name, backend in backends.items()}
    for _ in range(_WARM_UP + rounds):
        for precision, backend in backends.items():
            begin = time.perf_counter()
            backend.forward(steps[precision])
            seconds[precision].append(time.perf_counter() - begin)
    return {precision: found[_WARM_UP:] for precision, found in seconds.items()}


def _step(backend: Backend, texts: int) -> StepPlan:
    size = _blocks(backend)
    return even_plan([range(i * size, (i + 1) * size) for i in range(texts)], WINDOW, 1)


def _blocks(backend: Backend) -> int:
    """Of a window and a token."""
    return WINDOW // backend.info.block_size + 1


def report(
    backends: dict[str, Backend],
    figures: dict[str, Figures],
    seconds: dict[str, list[float]],
    count: int,
) -> str:
    """A table, widest precision first."""
    header = ["cache", "bytes a token", "perplexity", "KL", "time of a step"]
    rows = []
    for precision in sorted(backends, key=lambda name: -backends[name].block_bytes):
        info, found = backends[precision].info, figures[precision]
        ratio = median_ratio(seconds[precision], seconds[reference(backends)], float)
        cells = [
            precision,
            f"{info.bytes_per_block / info.block_size:,.0f}",
            f"{np.exp(found.surprise / count):.2f}",
            f"{found.divergence / count:.5f}",
            f"{ratio:.2f}x",
        ]
        rows.append(cells)
    return table(header, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle")
    parser.add_argument("--runtime", help="of those that the bundle has; default: its own")
    parser.add_argument("--text", type=Path, help="UTF-8 text; default: the documentation")
    parser.add_argument("--windows", type=int, default=6, help="windows of the text at most")
    parser.add_argument("--rounds", type=int, default=60, help="interleaved steps of each")
    parser.add_argument("--texts", type=int, default=1, help="that a step has a token of")
    arguments = parser.parse_args()
    files = sorted(DOCS.glob("*.md")) if arguments.text is None else [arguments.text]
    text = "\n".join(file.read_text(encoding="utf-8") for file in files)
    bundle = Bundle.open(arguments.bundle)
    tokens = np.array(Tokenizer.load(bundle.tokenizer_folder).encode(text), np.int64)
    count = min(arguments.windows, (len(tokens) - 1) // WINDOW) * WINDOW
    if count == 0:
        parser.error(f"the text has {len(tokens)} tokens, a window needs {WINDOW + 1}")
    backends = load(bundle, arguments.runtime or bundle.runtime, arguments.texts)
    figures = measure_fidelity(backends, tokens[: count + 1])
    seconds = measure_steps(backends, arguments.rounds, arguments.texts)
    print(f"{machine()}; {count:,} tokens of text, medians of {arguments.rounds} steps\n")
    print(report(backends, figures, seconds, count))


if __name__ == "__main__":
    main()
