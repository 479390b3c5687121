from __future__ import annotations

from dataclasses import replace

import pytest

from nanoaccel.runtime.tools.profiling import judge
from nanoaccel.runtime.tools.profiling.verdict import Figures

FIGURES = Figures(
    decode_bytes=85e6,
    decode_seconds=0.006,
    decode_outside=0.06,
    decode_draft=0.0,
    prefill_bytes=90e6,
    prefill_seconds=0.2,
    prefill_operations=2.0 * 135e6 * 128,
    between=0.05,
    bandwidth=20e9,
    compute=200e9,
    threads=2,
    cores=2,
    busy=1.9,
    runtime="openvino",
)


def test_verdict_at_the_limit_of_the_memory() -> None:
    verdict = judge(FIGURES)
    assert verdict.findings == (
        "decode reads 85 MB a pass: 71 % of what this memory can do, which is its limit",
        "prefill is compute-bound: it needs 2 % of what this memory can do; it does 173 GFLOP/s, "
        "86 % of a matrix product of f32 in numpy",
        "6 % of a decode step is Python",
        "1.9 CPUs were busy, with 2 threads",
    )
    assert "smaller weights" in verdict.advice[0]
    assert len(verdict.advice) == 1


@pytest.mark.parametrize(
    ("changes", "finding", "advice"),
    [
        ({"decode_seconds": 0.012}, "35 % of what this memory can do", "nanoaccel tune"),
        ({"decode_seconds": 0.012}, "35 %", "export --runtime onnx"),
        ({"decode_seconds": 0.012, "others": ("onnx",)}, "35 %", "--backend onnx"),
        ({"decode_seconds": 0.012, "decode_outside": 0.4}, "40 % of a decode step", "together"),
        ({"threads": 1, "busy": 1.0}, "1.0 CPUs were busy, with 1 thread", "--threads 2"),
        ({"busy": 0.8}, "0.8 CPUs were busy", "another program"),
        ({"between": 0.3}, "30 % of a decode pass lies between", ""),
        ({"decode_draft": 0.2}, "20 % of a decode step goes into guesses", ""),
        ({"prefill_seconds": 0.005}, "prefill is bound by memory: 90 %", ""),
        ({"int8": 400e9}, "it does 173 G operations/s, 43 % of what the int8 multipliers", ""),
        ({"stock": 0.2}, "20 % of the operators' time in a decode pass is left", ""),
        ({"can_be_own": True}, "decode reads", "NanoAccel's own operators"),
        ({"prefill_operations": None}, "prefill is compute-bound: it needs 2 %", ""),
    ],
)
def test_verdict_says(changes: dict[str, object], finding: str, advice: str) -> None:
    verdict = judge(replace(FIGURES, **changes))  # type: ignore[arg-type]
    assert any(finding in line for line in verdict.findings), verdict.findings
    assert not advice or any(advice in line for line in verdict.advice), verdict.advice


def test_verdict_recommends_own_operators_where_they_are_not() -> None:
    used = judge(replace(FIGURES, can_be_own=True, stock=0.01))
    assert not any("own operators" in line for line in used.advice)
    assert not any("stock" in line for line in used.findings)


def test_verdict_without_a_prompt_says_nothing_of_it() -> None:
    verdict = judge(replace(FIGURES, prefill_bytes=None))
    assert not any("prefill" in line for line in verdict.findings)


def test_verdict_recommends_no_runtime_that_it_has() -> None:
    verdict = judge(replace(FIGURES, decode_seconds=0.012, runtime="onnx"))
    assert not any("runtime" in line for line in verdict.advice)
