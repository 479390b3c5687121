"""NanoAccel's attention by context against what bounds it: the bytes that it reads, the products.

    python -m benchmarks.studies.attention [--model sample] [--caches f16,u8,u4,f32] [--layers 8]
        [--isa avx2] [--rounds 5] [--threads 2]

Some layers of attention run one after the other, as a pass runs them, each over its own part of
the cache. "GB/s" is what they read of it, beside what numpy reads on as many threads. "GFMA/s"
counts the products of queries with keys and of weights with values that a token sees. The least
time of each pass counts, as other programs only ever add to one.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmarks.harness.machine import machine
from nanoaccel.runtime.backends.block_memory import CacheBlocks
from nanoaccel.runtime.backends.onnxruntime.block_backend import PRECISIONS
from nanoaccel.runtime.backends.onnxruntime.operators.attention import BLOCK_SIZE, BlockLayout
from nanoaccel.runtime.cpu.threads import core_count
from nanoaccel.runtime.native import find_operators
from nanoaccel.runtime.native.library import ISA
from nanoaccel.runtime.tools.profiling.machine_speed import read_bandwidth
from nanoaccel.runtime.types.packing import even_plan

MODELS = {"sample": (9, 3, 64), "0.5b": (14, 2, 64), "1.1b": (32, 4, 64), "8b": (32, 8, 128)}
# Sequences, tokens of each, tokens of each in the cache.
CASES = [
    *((1, 1, past) for past in (256, 2048, 6000)),
    *((1, 8, past) for past in (256, 6000)),
    *((16, 1, past) for past in (256, 2048)),
    *((1, count, 0) for count in (512, 2048)),
]


@dataclass(frozen=True, slots=True)
class Shape:
    """Layers of attention."""

    layers: int
    heads: int
    kv_heads: int
    size: int

    @property
    def width(self) -> int:
        """Numbers of a token: queries, keys and values."""
        return (self.heads + 2 * self.kv_heads) * self.size

    def layout(self, cache: str) -> BlockLayout:
        layers = ((self.kv_heads, self.size),) * self.layers
        return BlockLayout(PRECISIONS[cache], layers, self.layers)


def model_of(shape: Shape, cache: str) -> bytes:
    """Layers that all read one input."""
    from onnx import TensorProto, helper

    layout, info = shape.layout(cache), helper.make_tensor_value_info
    kinds = {"seq_begins": 6, "past_lens": 6, "block_ids": 6, "block_begins": 6}
    nodes = [
        helper.make_node(
            "PagedAttention",
            ["x", "", "", "cache", "", *kinds],
            [f"y{layer}"],
            domain="nanoaccel",
            num_heads=shape.heads,
            kv_num_heads=shape.kv_heads,
            head_size=shape.size,
            block_size=BLOCK_SIZE,
            cache_type=int(layout.type),
            cache_offset=layer * layout.layer_bytes(0),
            window=0,
            interleaved=0,
            scores=0,
            scale=shape.size**-0.5,
            softcap=0.0,
            epsilon=0.0,
        )
        for layer in range(shape.layers)
    ]
    inputs = [info("x", TensorProto.FLOAT, ["T", shape.width])]
    inputs.append(info("cache", TensorProto.UINT8, ["blocks", layout.block_bytes]))
    inputs += [info(name, kind, [f"{name} count"]) for name, kind in kinds.items()]
    width = shape.heads * shape.size
    outputs = [info(f"y{n}", TensorProto.FLOAT, ["T", width]) for n in range(shape.layers)]
    graph = helper.make_graph(nodes, "attention", inputs, outputs)
    sets = [helper.make_opsetid(name, version) for name, version in (("", 21), ("nanoaccel", 1))]
    made: bytes = helper.make_model(graph, opset_imports=sets, ir_version=10).SerializeToString()
    return made


def passes(shape: Shape, cache: str, threads: int) -> list[Callable[[], None]]:
    """A function that runs each case."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.register_custom_ops_library(str(find_operators().library))
    session = ort.InferenceSession(model_of(shape, cache), options)
    block_bytes, random = shape.layout(cache).block_bytes, np.random.default_rng(0)
    most = max(n * -(-(past + count) // BLOCK_SIZE) for n, count, past in CASES)
    memory = CacheBlocks(most, block_bytes).rows
    memory[...] = random.integers(0, 60, memory.shape, np.uint8)
    made = []
    for sequences, count, past in CASES:
        blocks = -(-(past + count) // BLOCK_SIZE)
        plan = even_plan(np.arange(sequences * blocks).reshape(sequences, -1).tolist(), past, count)
        arrays = {name: getattr(plan, name).copy() for name in _PLANNED}
        x = random.normal(size=(sequences * count, shape.width)).astype(np.float32)
        arrays |= {"x": x, "cache": memory}
        binding = session.io_binding()
        for name, array in arrays.items():
            binding.bind_input(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)
        out = np.empty((sequences * count, shape.heads * shape.size), np.float32)
        for layer in range(shape.layers):
            binding.bind_output(f"y{layer}", "cpu", 0, out.dtype, out.shape, out.ctypes.data)
        kept = (arrays, out)  # what is bound must live on
        made.append(lambda b=binding, _=kept: session.run_with_iobinding(b))
    return made


_PLANNED = ("seq_begins", "past_lens", "block_ids", "block_begins")


def seconds(run: Callable[[], None], rounds: int) -> float:
    """The least of some runs; one of long ones."""
    least = np.inf
    for _ in range(rounds):
        begun = time.perf_counter()
        run()
        least = min(least, time.perf_counter() - begun)
        if least > 0.2:
            break
    return float(least)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", choices=MODELS, default="sample")
    parser.add_argument("--caches", default="f16,u8,u4,f32")
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--isa", help="the path to measure; the fastest by default")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--threads", type=int, default=core_count())
    given = parser.parse_args()
    if given.isa is not None:
        os.environ[ISA] = given.isa
    shape = Shape(given.layers, *MODELS[given.model])
    bandwidth = read_bandwidth(given.threads, 0.5) / 1e9
    print(f"{machine()}, {find_operators().described()}, {given.model}, {bandwidth:.1f} GB/s\n")
    print(
        "| cache | sequences | tokens | cached | ms a layer | GB/s | GFMA/s |\n"
        + "| --- " * 7
        + "|"
    )
    for cache in given.caches.split(","):
        token = shape.layout(cache).block_bytes / BLOCK_SIZE
        for (sequences, count, past), run in zip(
            CASES, passes(shape, cache, given.threads), strict=True
        ):
            took = seconds(run, given.rounds)
            read = sequences * (past + count) * token
            seen = sequences * count * (past + (count + 1) / 2)
            products = 2 * seen * shape.layers * shape.heads * shape.size
            cells = [cache, sequences, count, past, f"{took / shape.layers * 1e3:.3f}"]
            cells += [f"{read / took / 1e9:.1f}", f"{products / took / 1e9:.1f}"]
            print("| " + " | ".join(map(str, cells)) + " |")


if __name__ == "__main__":
    main()
