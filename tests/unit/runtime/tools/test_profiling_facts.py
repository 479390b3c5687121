from __future__ import annotations

import json
from pathlib import Path

import pytest

from nanoaccel.runtime.backends import BackendInfo, OperatorTime
from nanoaccel.runtime.backends.layers import layers_of
from nanoaccel.runtime.tools.profiling import (
    ColdStart,
    MachineSpeed,
    MemoryUse,
    OperatorProfile,
    Profile,
    RunFacts,
    Span,
    StepRecord,
    chrome_trace,
)
from nanoaccel.runtime.tools.profiling.machine_speed import measure_machine
from nanoaccel.runtime.tools.profiling.memory import resident_bytes
from nanoaccel.runtime.tools.profiling.verdict import figures_of

INFO = BackendInfo("openvino", "a CPU", 10, 32, 3200, "u8", 2, "u8 blocks")
OPERATORS = OperatorProfile(
    2,
    0.012,
    [
        OperatorTime("embed/Gather", "Gather", None, 0.001, 2),
        OperatorTime("layers.0.up/MatMul", "MatMul", 0, 0.006, 2),
        OperatorTime("layers.1.up/MatMul", "MatMul", 1, 0.004, 2),
    ],
)


def step(begin: float, *, decodes: bool, tokens: int, context: int) -> StepRecord:
    spans = (
        Span("schedule", begin, begin + 0.001),
        Span("forward", begin + 0.001, begin + 0.009),
        Span("other", begin + 0.009, begin + 0.01),
    )
    return StepRecord(spans, tokens, 1, context, decodes)


RUN = RunFacts(
    steps=[
        step(5.0, decodes=False, tokens=64, context=64),
        step(5.01, decodes=True, tokens=1, context=65),
        step(5.03, decodes=True, tokens=1, context=67),
    ],
    wall=0.05,
    cpu=0.08,
    generated=3,
)
PROFILE = Profile(
    backend=INFO,
    others=(),
    parameters=1000,
    token_bytes=100,
    cold_start=ColdStart((("import", 0.5), ("compile", 1.0))),
    run=RUN,
    prefill=None,
    decode=OPERATORS,
    memory=MemoryUse(8000, 1000, 50_000, 100_000),
    machine=MachineSpeed(1e7, 1e9, 2),
)


def test_run_facts_tell_phases_by_kind_of_step() -> None:
    assert RUN.phases(decode=True)["forward"] == pytest.approx(0.016)
    assert sum(RUN.phases().values()) == pytest.approx(0.03)
    assert RUN.unexplained == pytest.approx(0.02)


def test_operator_profile_adds_up_by_kind_and_layer() -> None:
    assert OPERATORS.by_kind() == [("MatMul", 0.01), ("Gather", 0.001)]
    assert OPERATORS.by_layer() == [(0, 0.006), (1, 0.004), (None, 0.001)]


def test_figures_count_weights_and_cache() -> None:
    figures = figures_of(PROFILE, cores=4)
    assert figures.decode_bytes == 8000 + 100 * 66
    assert figures.decode_seconds == pytest.approx(0.008)
    assert figures.decode_outside == pytest.approx(0.2)
    assert figures.prefill_bytes == 8000 + 6400
    assert figures.prefill_operations == 2 * 1000 * 64
    assert figures.between == pytest.approx(1 - 11 / 12)
    assert figures.busy == pytest.approx(1.6)
    assert figures.decode_share == pytest.approx(14_600 / 0.008 / 1e7)


def test_memory_use_gives_the_runtime_the_rest() -> None:
    assert PROFILE.memory.runtime == 41_000
    assert MemoryUse(1, 1, 1, None).runtime is None
    assert MemoryUse(10, 10, 10, 20).runtime == 0


def test_chrome_trace_is_json_in_order() -> None:
    content = json.loads(json.dumps(chrome_trace(PROFILE), allow_nan=False))
    events = [event for event in content["traceEvents"] if event["ph"] == "X"]
    assert [event["ts"] for event in events] == sorted(event["ts"] for event in events)
    steps = [event for event in events if event["cat"] == "step"]
    phases = [event for event in events if event["cat"] == "phase"]
    assert (len(steps), len(phases)) == (3, 9)
    assert steps[0]["ts"] == 0
    for one in steps:  # phases lie inside, and fill it
        inside = [p for p in phases if one["ts"] <= p["ts"] < one["ts"] + one["dur"] - 0.5]
        assert sum(p["dur"] for p in inside) == pytest.approx(one["dur"])
    operators = [event for event in events if event["cat"] == "operator"]
    assert [event["dur"] for event in operators] == [500, 3000, 2000]
    assert {event["tid"] for event in operators} != {event["tid"] for event in steps}


def test_layers_of_operators() -> None:
    names = [
        *("input", "__module.model.embed_tokens/Gather", "__module.model.layers.0.attn/MatMul"),
        *("PagedAttention_7", "__module.model.layers.11.mlp/Add", "Reshape_9"),
        *("__module.model.norm/RMS", "Convert_3", "/model/layers.12/final_norm_layernorm/Norm"),
    ]
    assert layers_of(names) == [None, None, 0, 0, 11, 11, None, None, None]


def test_measure_machine_gives_rates() -> None:
    speed = measure_machine(2, seconds=0.01)
    assert speed.bandwidth > 1e8
    assert speed.compute > 1e8
    assert speed.threads == 2


def test_resident_bytes_reads_proc(tmp_path: Path) -> None:
    assert resident_bytes(tmp_path) is None
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/statm").write_text("100 7 3 1 0 9 0\n")
    found = resident_bytes(tmp_path)
    assert found is not None
    assert found % 7 == 0
