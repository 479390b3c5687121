"""NanoAccel's mixture of experts against reading all experts, and against stock QMoE.

    python -m benchmarks.studies.experts [--experts 8] [--chosen 2] [--hidden 1024] [--inner 2816]
        [--layers 12] [--bits 4] [--group 32] [--rows 1,2,8,512] [--isa avx2] [--rounds 5]

Layers of random weights run one after the other; each row goes to experts of its own in each
layer. Engines take turns in each round, and the least time of each counts. A row's weights are
those of the experts that it chose, as the file has them.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness.machine import machine
from benchmarks.studies.operators import Pass, measure
from nanoaccel.runtime.cpu.threads import core_count
from nanoaccel.runtime.native import find_operators
from nanoaccel.runtime.native.library import ISA

_SCALE_BYTES = 2


@dataclass(frozen=True, slots=True)
class Layers:
    """Sizes of a model that is nothing but experts."""

    experts: int
    hidden: int
    inner: int
    layers: int
    bits: int
    group: int

    def size(self, experts: int) -> float:
        """Bytes of so many experts of each layer."""
        numbers = 3 * self.hidden * self.inner * self.layers * experts
        return numbers * (self.bits / 8 + _SCALE_BYTES / self.group)

    def model(self, chosen: int, own: bool) -> bytes:
        """A graph of Experts or QMoE."""
        from onnx import TensorProto, helper, numpy_helper

        random = np.random.default_rng(0)
        names = ["gate_up.codes", "gate_up.scales", "down.codes", "down.scales"]
        sizes = ((2 * self.inner, self.hidden), (self.hidden, self.inner))
        arrays: list[NDArray[np.generic]] = []
        for rows, columns in sizes:
            width = columns * self.bits // 8
            arrays.append(random.integers(0, 256, (self.experts, rows, width), np.uint8))
            scales = random.uniform(0.5, 1.5, (self.experts, rows, columns // self.group)) / 64
            arrays.append(scales.astype(np.float16))
        nodes, stored = [], []
        for layer in range(self.layers):
            kept = [f"{name}.{layer}" for name in names]
            stored += [numpy_helper.from_array(a, n) for a, n in zip(arrays, kept, strict=True)]
            places = ["x", f"logits.{layer}", *kept[:2], "", *(("",) if own else ()), *kept[2:]]
            nodes.append(self._node(places, f"y.{layer}", chosen, own, helper))
        info = helper.make_tensor_value_info
        inputs, outputs = [info("x", TensorProto.FLOAT, ["T", self.hidden])], []
        for layer in range(self.layers):
            inputs.append(info(f"logits.{layer}", TensorProto.FLOAT, ["T", self.experts]))
            outputs.append(info(f"y.{layer}", TensorProto.FLOAT, ["T", self.hidden]))
        graph = helper.make_graph(nodes, "experts", inputs, outputs, stored)
        domain = "nanoaccel" if own else "com.microsoft"
        sets = [helper.make_opsetid(name, version) for name, version in (("", 21), (domain, 1))]
        made: bytes = helper.make_model(
            graph, opset_imports=sets, ir_version=10
        ).SerializeToString()
        return made

    def _node(self, inputs: list[str], y: str, chosen: int, own: bool, helper: Any) -> Any:
        more: dict[str, Any] = {"block_size": self.group}
        if own:
            more |= {"experts": self.experts, "hidden": self.hidden, "inner": self.inner}
            more |= {"top_k": chosen, "bits": self.bits, "alpha": 1.0, "beta": 0.0, "limit": np.inf}
            return helper.make_node("Experts", inputs, [y], domain="nanoaccel", **more)
        more |= {"k": chosen, "expert_weight_bits": self.bits, "accuracy_level": 4}
        more |= {"swiglu_fusion": 1, "normalize_routing_weights": 1}
        more |= {"activation_type": "swiglu", "activation_alpha": 1.0, "activation_beta": 0.0}
        return helper.make_node("QMoE", inputs, [y], domain="com.microsoft", **more)


def experts_pass(layers: Layers, chosen: int, threads: int, own: bool) -> Pass:
    """A session over all layers; experts are drawn anew in each run."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    if own:
        options.register_custom_ops_library(str(find_operators().library))
    model = layers.model(chosen, own)
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    random = np.random.default_rng(0)

    def run(x: NDArray[np.float32]) -> None:
        feeds = {"x": x}
        for layer in range(layers.layers):
            logits = random.normal(size=(len(x), layers.experts)).astype(np.float32)
            feeds[f"logits.{layer}"] = logits
        session.run(None, feeds)

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    sizes = {"experts": 8, "hidden": 1024, "inner": 2816, "layers": 12, "bits": 4, "group": 32}
    for name, value in sizes.items():
        add(f"--{name}", type=int, default=value)
    add("--chosen", type=int, default=2)
    add("--rows", default="1,2,8,512")
    add("--isa", help="the path to measure; the fastest by default")
    add("--rounds", type=int, default=5)
    add("--threads", type=int, default=core_count())
    arguments = parser.parse_args()
    if arguments.isa is not None:
        os.environ[ISA] = arguments.isa
    layers = Layers(**{name: getattr(arguments, name) for name in sizes})
    chosen, threads = arguments.chosen, arguments.threads
    engines = {
        "own": experts_pass(layers, chosen, threads, own=True),
        "all experts": experts_pass(layers, layers.experts, threads, own=True),
        "stock": experts_pass(layers, chosen, threads, own=False),
    }
    rows = [int(count) for count in arguments.rows.split(",")]
    _, found = measure(engines, rows, layers.hidden, arguments.rounds, threads)
    share = layers.size(chosen) / layers.size(layers.experts)
    print(f"{machine()}, {threads} threads, {find_operators().described()}: ", end="")
    print(f"{layers.size(chosen) / 1e6:.0f} MB of {layers.size(layers.experts) / 1e6:.0f} a row\n")
    print("| rows | ms | all experts / own | stock / own |\n| --- | --- | --- | --- |")
    for count, own in found["own"].items():
        others = (found[name][count] / own for name in ("all experts", "stock"))
        print(f"| {count} | {own * 1e3:.2f} | " + " | ".join(f"{n:.2f}" for n in others) + " |")
    if 1 in rows:
        of_all = found["own"][1] / found["all experts"][1]
        print(f"\nOne row takes {of_all / share:.2f} times its share of what all experts take.")


if __name__ == "__main__":
    main()
