"""NanoAccel's quantized linear against what bounds it, stock ONNX Runtime and OpenVINO.

    python -m benchmarks.studies.operators [--model sample] [--rows 1,2,4,8,16,512] [--group 64]
        [--bits 4] [--matrix all] [--isa avx2] [--rounds 10] [--limit 60] [--threads 2]

All matrices of a model, of random weights, run one after the other, as a pass runs them, with the
same int8 activations by token and group everywhere. Engines take turns in each round, and the
least time of each counts, as other programs only ever add to one. No round begins after the limit
of seconds. Bandwidth is what numpy reads on as many threads, the most of all rounds.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness.figures import in_turn
from benchmarks.harness.machine import machine
from nanoaccel.openvino_core import openvino_core
from nanoaccel.runtime.cpu.threads import core_count
from nanoaccel.runtime.native import find_operators
from nanoaccel.runtime.native.library import ISA
from nanoaccel.runtime.tools.profiling.machine_speed import read_bandwidth

Pass = Callable[[NDArray[np.float32]], object]
REPEATS = 3
LONG = 0.1  # seconds of a pass that is measured once a round
_SCALE_BYTES = 2


@dataclass(frozen=True, slots=True)
class Shape:
    """The shapes of a model's matrices, (outputs, inputs), and its layers."""

    layers: int
    hidden: int
    feed_forward: int
    attention: int
    vocabulary: int

    def matrices(self, which: str) -> list[tuple[int, int]]:
        """All of them in the order of a pass, or those of one kind."""
        layer = {
            "qkv": (self.attention, self.hidden),
            "o": (self.hidden, self.hidden),
            "gate_up": (2 * self.feed_forward, self.hidden),
            "down": (self.hidden, self.feed_forward),
        }
        last = (self.vocabulary, self.hidden)
        if which == "all":
            return [*layer.values()] * self.layers + [last]
        return [last] if which == "last" else [layer[which]] * self.layers


MODELS = {
    "sample": Shape(30, 576, 1536, 960, 49152),
    "0.5b": Shape(24, 896, 4864, 1152, 151936),
    "1.1b": Shape(22, 2048, 5632, 2560, 32000),
}


@dataclass(frozen=True, slots=True)
class Weights:
    """Random codes and scales of a matrix."""

    outputs: int
    inputs: int
    codes: NDArray[np.uint8]
    scales: NDArray[np.float16]


def random_weights(matrices: Sequence[tuple[int, int]], bits: int, group: int) -> list[Weights]:
    random = np.random.default_rng(0)
    found = []
    for outputs, inputs in matrices:
        shape = (outputs, inputs // group, group * bits // 8)
        scales = random.uniform(0.5, 1.5, shape[:2]).astype(np.float16) / np.float16(64)
        codes = random.integers(0, 256, shape, np.uint8)
        found.append(Weights(outputs, inputs, codes, scales))
    return found


def onnx_pass(weights: Sequence[Weights], bits: int, group: int, threads: int, own: bool) -> Pass:
    """A session whose products do not depend on each other; all outputs go to one memory."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    if own:
        options.register_custom_ops_library(str(find_operators().library))
    model = onnx_model(weights, bits, group, own)
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    bindings: dict[int, Any] = {}

    def bind(x: NDArray[np.float32]) -> tuple[Any, object]:
        binding, rows = session.io_binding(), len(x)
        kept = []
        for inputs in {one.inputs for one in weights}:
            kept.append(np.ascontiguousarray(x[:, :inputs]))
            pointer = kept[-1].ctypes.data
            binding.bind_input(f"x{inputs}", "cpu", 0, np.float32, (rows, inputs), pointer)
        kept.append(np.empty(rows * max(one.outputs for one in weights), np.float32))
        for index, one in enumerate(weights):
            pointer = kept[-1].ctypes.data
            binding.bind_output(f"y{index}", "cpu", 0, np.float32, (rows, one.outputs), pointer)
        return binding, kept

    def run(x: NDArray[np.float32]) -> None:
        if len(x) not in bindings:
            bindings[len(x)] = bind(x)
        session.run_with_iobinding(bindings[len(x)][0])

    return run


def onnx_model(weights: Sequence[Weights], bits: int, group: int, own: bool) -> bytes:
    """Linear or MatMulNBits for each matrix."""
    from onnx import TensorProto, helper, numpy_helper

    kind, domain = ("Linear", "nanoaccel") if own else ("MatMulNBits", "com.microsoft")
    more = {"gated": 0, "activation": 0, "centered": 0} if own else {"accuracy_level": 4}
    nodes, stored, outputs = [], [], []
    for index, one in enumerate(weights):
        scales = one.scales if own else one.scales.astype(np.float32)
        stored.append(numpy_helper.from_array(one.codes, f"codes{index}"))
        stored.append(numpy_helper.from_array(scales, f"scales{index}"))
        names = [f"x{one.inputs}", f"codes{index}", f"scales{index}"]
        sizes = {"K": one.inputs, "N": one.outputs, "bits": bits, "block_size": group}
        nodes.append(helper.make_node(kind, names, [f"y{index}"], domain=domain, **sizes, **more))
        shape = ["M", one.outputs]
        outputs.append(helper.make_tensor_value_info(f"y{index}", TensorProto.FLOAT, shape))
    inputs = [
        helper.make_tensor_value_info(f"x{size}", TensorProto.FLOAT, ["M", size])
        for size in sorted({one.inputs for one in weights})
    ]
    graph = helper.make_graph(nodes, "products", inputs, outputs, stored)
    sets = [helper.make_opsetid(name, version) for name, version in (("", 21), (domain, 1))]
    serialized: bytes = helper.make_model(
        graph, opset_imports=sets, ir_version=10
    ).SerializeToString()
    return serialized


def openvino_pass(weights: Sequence[Weights], bits: int, group: int, threads: int) -> Pass:
    """The same products in OpenVINO, as NNCF compresses them."""
    import openvino as ov
    from openvino import opset13 as ops

    stored = ov.Type.u4 if bits == 4 else ov.Type.u8
    sizes = sorted({one.inputs for one in weights})
    inputs = {size: ops.parameter([-1, size], ov.Type.f32, name=f"x{size}") for size in sizes}
    results = []
    for one in weights:
        shape = [one.outputs, one.inputs // group, group]
        codes = ops.constant(ov.Tensor(one.codes, ov.Shape(shape), stored))
        middle = np.full((1, 1, 1), 1 << bits - 1, np.uint8)
        numbers = ops.convert(codes, "f16")
        centred = ops.subtract(numbers, ops.convert(ops.constant(middle), "f16"))
        scaled = ops.multiply(centred, ops.constant(one.scales[:, :, None]))
        matrix = ops.reshape(scaled, [one.outputs, one.inputs], special_zero=False)
        product = ops.matmul(inputs[one.inputs], ops.convert(matrix, "f32"), False, True)
        results.append(ops.result(product))
    properties = {
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
        "DYNAMIC_QUANTIZATION_GROUP_SIZE": group,
    }
    compiled = openvino_core().compile_model(
        ov.Model(results, [*inputs.values()]), "CPU", properties
    )
    request = compiled.create_infer_request()

    def run(x: NDArray[np.float32]) -> None:
        for index, size in enumerate(sizes):
            request.set_input_tensor(index, ov.Tensor(np.ascontiguousarray(x[:, :size])))
        request.infer()

    return run


def measure(
    engines: dict[str, Pass],
    rows: Sequence[int],
    width: int,
    rounds: int,
    threads: int,
    limit: float,
) -> tuple[float, dict[str, dict[int, float]]]:
    """Bytes a second, and the least seconds of each engine by rows."""
    random = np.random.default_rng(0)
    found: dict[str, dict[int, float]] = {name: {} for name in engines}
    bandwidth = 0.0
    end = time.perf_counter() + limit
    for turn in range(rounds):
        if turn > 0 and time.perf_counter() > end:
            break
        bandwidth = max(bandwidth, read_bandwidth(threads, 0.2))
        for count in rows:
            x = random.normal(size=(count, width)).astype(np.float32)
            for name in in_turn(tuple(engines), turn):
                least = best_seconds(engines[name], x)
                found[name][count] = min(found[name].get(count, least), least)
    return bandwidth, found


def best_seconds(run: Pass, x: NDArray[np.float32]) -> float:
    """The least of a few passes; of one, where it is long."""
    first = seconds(run, x)
    if first > LONG:
        return first
    return min(first, *(seconds(run, x) for _ in range(REPEATS - 1)))


def seconds(run: Pass, x: NDArray[np.float32]) -> float:
    begun = time.perf_counter()
    run(x)
    return time.perf_counter() - begun


def show(size: float, bandwidth: float, found: dict[str, dict[int, float]]) -> None:
    """A row of the table for each number of rows."""
    others = [name for name in found if name != "own"]
    print(f"{size / 1e6:.0f} MB of weights, {bandwidth / 1e9:.1f} GB/s\n")
    titles = ["rows", "ms", "share of bandwidth", "to the first", *(f"{n}, ms" for n in others)]
    print("| " + " | ".join([*titles, *(f"{name} / own" for name in others)]) + " |")
    print("| --- " * (len(titles) + len(others)) + "|")
    first = next(iter(found["own"].values()))
    for rows, own in found["own"].items():
        cells = [f"{rows}", f"{own * 1e3:.2f}", f"{size / own / bandwidth:.2f}"]
        cells.append(f"{own / first:.2f}")
        cells += [f"{found[name][rows] * 1e3:.2f}" for name in others]
        cells += [f"{found[name][rows] / own:.2f}" for name in others]
        print("| " + " | ".join(cells) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("--model", choices=MODELS, default="sample")
    add("--matrix", choices=("all", "qkv", "o", "gate_up", "down", "last"), default="all")
    add("--rows", default="1,2,4,8,16,512")
    add("--bits", type=int, choices=(4, 8), default=4)
    add("--group", type=int, default=64)
    add("--isa", help="the path to measure; the fastest by default")
    add("--against", default="stock,openvino", help="engines to compare with, or nothing")
    add("--rounds", type=int, default=10)
    add("--limit", type=float, default=60.0, help="seconds after which no round begins")
    add("--threads", type=int, default=core_count())
    arguments = parser.parse_args()
    if arguments.isa is not None:
        os.environ[ISA] = arguments.isa
    operators = find_operators()
    if operators.library is None:
        raise SystemExit(operators.described())
    matrices = MODELS[arguments.model].matrices(arguments.matrix)
    bits, group, threads = arguments.bits, arguments.group, arguments.threads
    weights = random_weights(matrices, bits, group)
    engines = {"own": onnx_pass(weights, bits, group, threads, own=True)}
    if "stock" in arguments.against:
        engines["stock"] = onnx_pass(weights, bits, group, threads, own=False)
    if "openvino" in arguments.against:
        engines["openvino"] = openvino_pass(weights, bits, group, threads)
    rows = [int(count) for count in arguments.rows.split(",")]
    width = max(inputs for _, inputs in matrices)
    rounds, limit = arguments.rounds, arguments.limit
    bandwidth, found = measure(engines, rows, width, rounds, threads, limit)
    size = sum(n * k * bits / 8 + n * k // group * _SCALE_BYTES for n, k in matrices)
    print(f"{machine()}, {threads} threads, {operators.described()}, {arguments.model}: ", end="")
    show(size, bandwidth, found)


if __name__ == "__main__":
    main()
