"""A model with experts: what a token reads, and its speed against reading all experts.

    python -m benchmarks.studies.mixtures [--runtimes onnx,openvino] [--experts 8] [--chosen 2]
        [--hidden 1024] [--inner 2816] [--layers 8] [--weights int4] [--group-size 64] [--tokens 40]
        [--folder FOLDER]

A random Mixtral is traced, compressed and run through the backends of the engine, once as it is and
once with all of its experts chosen, in turns; the least time of a token counts. With --folder the
graphs are kept there, and found there the next time.

What a token reads is counted by the system: the pages that a process has touched since their marks
were cleared (Linux: clear_refs and smaps), in a process of its own, without large pages. Active are
all weights but those of experts that were not chosen, and the embedding but for one row, as the
graph's file has them.
"""

from __future__ import annotations

import argparse
import ctypes
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, fields
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness.figures import in_turn, table
from benchmarks.harness.machine import machine
from nanoaccel.registry import BACKENDS
from nanoaccel.runtime.backends import Backend, BackendOptions
from nanoaccel.runtime.types.packing import BlockLists, SequenceTokens, StepPacker

_VOCABULARY, _CONTEXT = 4096, 4096
_PAST, _WARM = 128, 6
_FILES = {"openvino": "openvino_model.xml", "onnx": "model.onnx"}
_WITHOUT_LARGE_PAGES = 41  # PR_SET_THP_DISABLE
_MARKS = "/proc/self/clear_refs"


@dataclass(frozen=True, slots=True)
class Sizes:
    """Sizes of the model, and how its weights are stored."""

    experts: int
    hidden: int
    inner: int
    layers: int
    weights: str
    group_size: int

    def write(self, folder: Path, chosen: int) -> None:
        """Make its graphs for both runtimes."""
        import torch
        from transformers import AutoModelForCausalLM, MixtralConfig

        from nanoaccel.exporters.quantize.recipe import Recipe
        from nanoaccel.exporters.quiet import quiet
        from nanoaccel.exporters.targets.onnx.build import build_graph as build_onnx
        from nanoaccel.exporters.targets.openvino.build import build_graph
        from nanoaccel.exporters.targets.openvino.trace import trace

        torch.manual_seed(0)
        config = MixtralConfig(
            vocab_size=_VOCABULARY,
            hidden_size=self.hidden,
            intermediate_size=self.inner,
            num_hidden_layers=self.layers,
            num_attention_heads=self.hidden // 64,
            num_key_value_heads=self.hidden // 256,
            num_local_experts=self.experts,
            num_experts_per_tok=chosen,
            max_position_embeddings=_CONTEXT,
        )
        recipe = Recipe(weights=self.weights, group_size=self.group_size)  # type: ignore[arg-type]
        with tempfile.TemporaryDirectory(dir=folder) as traced, quiet():
            model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).eval()
            trace(model, Path(traced))
            del model
            made = build_graph(Path(traced), folder / "openvino", recipe)
            build_onnx(made.path, folder / "onnx", _CONTEXT)

    def active(self, stored: int, chosen: int) -> float:
        """Bytes of active weights, of those of the file."""
        inner = 3 * self.experts * self.hidden * self.inner * self.layers
        head = self.hidden // 64
        attention = 2 * self.hidden * 64 * (head + head // 4) * self.layers
        bits = 8 * (stored - 2 * _VOCABULARY * self.hidden) / (inner + attention)
        left = (self.experts - chosen) / self.experts * inner * bits / 8
        return stored - _VOCABULARY * self.hidden - left


def load(folder: Path, runtime: str) -> Backend:
    """A graph that has run, so that its weights are packed."""
    graph = folder / runtime / _FILES[runtime]
    backend: Backend = BACKENDS.resolve(runtime)(BackendOptions(graph=graph))
    backend.allocate_cache(-(-2 * _PAST // backend.info.block_size))
    for seed in range(_WARM):
        step(backend, seed)
    return backend


def step(backend: Backend, seed: int) -> float:
    """Seconds of a pass of one random token behind others."""
    blocks = list(range(-(-2 * _PAST // backend.info.block_size)))
    token = np.random.default_rng(seed).integers(3, _VOCABULARY, 1)
    plan = StepPacker().pack([SequenceTokens(0, token, _PAST, _PAST, 1, 0)], BlockLists([blocks]))
    begun = time.perf_counter()
    backend.forward(plan)
    return time.perf_counter() - begun


def touched(folder: Path, runtime: str, tokens: int) -> float:
    """Bytes that a token touches, the mean of some."""
    ctypes.CDLL(None).prctl(_WITHOUT_LARGE_PAGES, 1, 0, 0, 0)
    backend = load(folder, runtime)
    other = np.ones(64 << 20, np.uint8)
    found = []
    for seed in range(tokens):
        other.sum()  # so that no page is remembered as marked
        Path(_MARKS).write_text("1")
        step(backend, seed)
        found.append(_marked())
    return float(np.mean(found))


def _marked() -> int:
    lines = Path("/proc/self/smaps").read_text().splitlines()
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith("Referenced:"))


def measure(folder: Path, runtime: str, sizes: Sizes, chosen: int, tokens: int) -> list[Any]:
    """A line of the table."""
    kinds = [chosen, sizes.experts]
    backends = {count: load(folder / str(count), runtime) for count in kinds}
    least = dict.fromkeys(kinds, float("inf"))
    for seed in range(tokens):
        for count in in_turn(kinds, seed):
            least[count] = min(least[count], step(backends[count], seed))
    for backend in backends.values():
        backend.close()
    weights = (folder / str(chosen) / "openvino" / _FILES["openvino"]).with_suffix(".bin")
    active = sizes.active(weights.stat().st_size, chosen)
    line = [runtime, f"{least[chosen] * 1e3:.2f}", f"{least[sizes.experts] / least[chosen]:.2f}"]
    line += [f"{active / 1e6:.0f}", f"{active / least[chosen] / 1e9:.1f}"]
    if not Path(_MARKS).exists():
        return [*line, "", ""]
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        read = pool.submit(touched, folder / str(chosen), runtime, 8).result()
    return [*line, f"{read / 1e6:.0f}", f"{read / active:.2f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("--experts", type=int, default=8)
    add("--hidden", type=int, default=1024)
    add("--inner", type=int, default=2816)
    add("--layers", type=int, default=8)
    add("--group-size", type=int, default=64)
    add("--weights", default="int4")
    add("--chosen", type=int, default=2)
    add("--tokens", type=int, default=40)
    add("--runtimes", default="onnx,openvino")
    add("--folder", type=Path)
    arguments = parser.parse_args()
    model = Sizes(**{one.name: getattr(arguments, one.name) for one in fields(Sizes)})
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) if arguments.folder is None else arguments.folder
        for count in (arguments.chosen, model.experts):
            if not (folder / str(count)).exists():
                (folder / str(count)).mkdir(parents=True)
                model.write(folder / str(count), count)
        lines = [
            measure(folder, runtime, model, arguments.chosen, arguments.tokens)
            for runtime in arguments.runtimes.split(",")
        ]
    print(f"{machine()}, {model.experts} experts of which {arguments.chosen} are chosen\n")
    header = ("runtime", "ms a token", "all chosen / chosen", "active MB", "GB/s")
    print(table([*header, "MB read", "read / active"], lines))


if __name__ == "__main__":
    main()
