"""Plans in the words of the runtimes, and to the system."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.machines import desktop, hybrid_laptop, mac_m3, two_sockets, windows_laptop

from nanoaccel.runtime.cpu import binding
from nanoaccel.runtime.cpu.binding import bind_thread
from nanoaccel.runtime.cpu.linux import read_linux
from nanoaccel.runtime.cpu.machine import read_machine
from nanoaccel.runtime.cpu.macos import read_macos
from nanoaccel.runtime.cpu.runtimes import (
    apply_to_torch,
    onnxruntime_options,
    openvino_properties,
)
from nanoaccel.runtime.cpu.threads import plan_threads
from nanoaccel.runtime.cpu.topology import Machine
from nanoaccel.runtime.cpu.windows import read_windows
from nanoaccel.runtime.cpu.workload import ThreadPlan, Workload

AFFINITIES = "session.intra_op_thread_affinities"


def plan_of(machine: Machine, **workload: Any) -> ThreadPlan:
    return plan_threads(machine.topology, machine.allowance, Workload(**workload))


def test_openvino_properties_of_a_hybrid(tmp_path: Path) -> None:
    plan = plan_of(read_linux(hybrid_laptop().write(tmp_path)), weight_group_size=64)
    assert openvino_properties(plan) == {
        "INFERENCE_NUM_THREADS": 6,
        "SCHEDULING_CORE_TYPE": "PCORE_ONLY",
        "ENABLE_CPU_PINNING": True,
        "ENABLE_HYPER_THREADING": False,
        "INFERENCE_PRECISION_HINT": "f32",
        "DYNAMIC_QUANTIZATION_GROUP_SIZE": 64,
    }


def test_openvino_properties_leave_out_what_the_runtime_chooses() -> None:
    machine = read_windows(windows_laptop(instructions=(), process_mask=0xF0))
    assert openvino_properties(plan_of(machine)) == {
        "INFERENCE_NUM_THREADS": 4,
        "SCHEDULING_CORE_TYPE": "ANY_CORE",
        "ENABLE_CPU_PINNING": False,
        "ENABLE_HYPER_THREADING": False,
    }


def test_openvino_takes_the_properties() -> None:
    ov = pytest.importorskip("openvino")
    from openvino import opset13

    from nanoaccel.openvino_core import openvino_core

    parameter = opset13.parameter([1, 4])
    model = ov.Model([opset13.relu(parameter)], [parameter])
    plan = plan_of(read_machine(), threads=1, weight_group_size=32)
    compiled = openvino_core().compile_model(model, "CPU", openvino_properties(plan))
    assert compiled.get_property("INFERENCE_NUM_THREADS") == 1
    assert compiled.get_property("ENABLE_CPU_PINNING") is plan.pin
    assert compiled.get_property("DYNAMIC_QUANTIZATION_GROUP_SIZE") == 32


def test_onnxruntime_options_keep_threads_to_the_fast_cores(tmp_path: Path) -> None:
    options = onnxruntime_options(plan_of(read_linux(hybrid_laptop().write(tmp_path)), threads=3))
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (3, 1)
    assert options.config_entries == {
        "session.intra_op.allow_spinning": "1",
        "session.force_spinning_stop": "1",
        AFFINITIES: "1,3,5,7,9,11;1,3,5,7,9,11",
    }


@pytest.mark.parametrize(
    ("options", "spins"), [({}, "1"), ({"role": "draft"}, "1"), ({"threads": 1}, "0")]
)
def test_onnxruntime_options_spin_as_planned(
    options: dict[str, Any], spins: str, tmp_path: Path
) -> None:
    plan = plan_of(read_linux(desktop().write(tmp_path)), **options)
    assert onnxruntime_options(plan).config_entries == {
        "session.intra_op.allow_spinning": spins,
        "session.force_spinning_stop": "1",
    }


def test_onnxruntime_options_of_a_mac_bind_nothing() -> None:
    assert AFFINITIES not in onnxruntime_options(plan_of(read_macos(mac_m3()))).config_entries


def test_onnxruntime_takes_the_options(tmp_path: Path) -> None:
    ort = pytest.importorskip("onnxruntime")
    helper = pytest.importorskip("onnx").helper
    value = helper.make_tensor_value_info("x", 1, [4])
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        *("g", [value], [helper.make_tensor_value_info("y", 1, [4])]),
    )
    opset = helper.make_opsetid("", 17)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=10)
    cpus = tuple(sorted(read_machine().allowance.cpus))
    machine = read_linux(hybrid_laptop().write(tmp_path))
    plan = plan_of(machine, threads=2)
    plan = type(plan)(
        **{name: getattr(plan, name) for name in plan.__slots__} | {"cpus": (cpus * 2)[:2]}
    )
    chosen = onnxruntime_options(plan)
    options = ort.SessionOptions()
    options.intra_op_num_threads = chosen.intra_op_num_threads
    for name, text in chosen.config_entries.items():
        options.add_session_config_entry(name, text)
    assert AFFINITIES in chosen.config_entries
    assert ort.InferenceSession(model.SerializeToString(), options).get_inputs()


class FakeTorch:
    """Counts threads, and may have started."""

    def __init__(self, started: bool) -> None:
        self.threads = self.interop = 0
        self._started = started

    def set_num_threads(self, number: int, /) -> None:
        self.threads = number

    def set_num_interop_threads(self, number: int, /) -> None:
        if self._started:
            raise RuntimeError("cannot set number of interop threads after parallel work")
        self.interop = number


@pytest.mark.parametrize("started", [False, True])
def test_apply_to_torch_sets_its_threads(started: bool, tmp_path: Path) -> None:
    torch = FakeTorch(started)
    apply_to_torch(plan_of(read_linux(desktop().write(tmp_path))), torch)
    assert (torch.threads, torch.interop) == (8, 0 if started else 1)


_BOUND = """
import os
from dataclasses import replace
from nanoaccel.runtime.cpu.binding import bind_thread
from nanoaccel.runtime.cpu.machine import read_machine
from nanoaccel.runtime.cpu.threads import plan_threads
from nanoaccel.runtime.cpu.workload import Workload
machine = read_machine()
plan = plan_threads(machine.topology, machine.allowance, Workload(threads=1))
last = max(machine.allowance.cpus)
plan = replace(plan, cpus=(last,), bind_cpus=True, node=0, bind_memory=True)
refused = bind_thread(plan)
assert all("NUMA node 0" in line for line in refused), refused
print(sorted(os.sched_getaffinity(0)) == [last])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux binds threads")
def test_bind_thread_keeps_to_the_plan() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _BOUND], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.stdout, done.stderr) == ("True\n", "")


def test_bind_thread_tells_what_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError("not permitted")

    monkeypatch.setattr(os, "sched_setaffinity", refuse, raising=False)
    monkeypatch.setattr(binding.platform, "system", lambda: "Darwin")
    refused = bind_thread(plan_of(read_linux(two_sockets().write(tmp_path))))
    assert len(refused) == 2
    assert refused[0].endswith("not permitted")
    assert refused[1] == "memory is not bound to NUMA node 0: only Linux can"
    assert bind_thread(plan_of(read_linux(desktop().write(tmp_path / "b")))) == []
