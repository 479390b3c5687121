"""What OpenVINO's backend promises beyond the contract of all."""

from __future__ import annotations

import subprocess
import sys
import threading
import tracemalloc
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from nanoaccel.bundle import Bundle
from nanoaccel.errors import ConfigError
from nanoaccel.runtime.backends import Backend, BackendOptions
from nanoaccel.runtime.backends.openvino import load, loading
from nanoaccel.runtime.types.plan import StepPlan
from nanoaccel.testing import tiny_models

BLOCKS = 64


def make(bundle: Path, **options: object) -> Backend:
    chosen = {"precision": "f32", **options}
    backend = load(BackendOptions(graph=Bundle.open(bundle).graph, **chosen))
    backend.allocate_cache(BLOCKS)
    return backend


def prompts(backend: Backend, lengths: list[int]) -> StepPlan:
    """Whole prompts of these lengths in one step."""
    random = np.random.default_rng(sum(lengths))
    blocks = [-(-length // backend.info.block_size) for length in lengths]
    return StepPlan(
        token_ids=random.integers(3, tiny_models.VOCAB_SIZE, sum(lengths)),
        positions=np.concatenate([np.arange(length) for length in lengths]),
        seq_begins=np.cumsum([0, *lengths]).astype(np.int32),
        past_lens=np.zeros(len(lengths), np.int32),
        block_ids=random.permutation(BLOCKS)[: sum(blocks)].astype(np.int32),
        block_begins=np.cumsum([0, *blocks]).astype(np.int32),
        logits_rows=np.cumsum(lengths) - 1,
    )


@pytest.mark.parametrize("scores", [False, True])
def test_openvino_allocates_no_arrays_once_it_is_warm(tiny_bundle: Path, scores: bool) -> None:
    backend = make(tiny_bundle, attention_scores=scores)
    warm_up(backend, [1, 5, 9, 13])
    for more in range(4):  # one for each copy
        backend.forward(prompts(backend, [1000, 500 + more]))
    random = np.random.default_rng(0)
    plans = [
        prompts(backend, random.integers(1, 1400 // count, count).tolist())
        for count in random.integers(1, 12, 50)
    ]
    backend.forward(plans[0])
    tracemalloc.start()
    try:
        for plan in plans:
            tracemalloc.reset_peak()
            before, _ = tracemalloc.get_traced_memory()
            backend.forward(plan)
            _, peak = tracemalloc.get_traced_memory()
            assert peak - before < 4000
    finally:
        tracemalloc.stop()
    backend.close()


def test_openvino_grows_with_the_steps(tiny_bundle: Path) -> None:
    warm = make(tiny_bundle)
    for lengths in ([3], [300, 20], [1], [900, 1, 400], [2, 2]):
        fresh = make(tiny_bundle)
        found = warm.forward(prompts(warm, lengths)).logits
        expected = fresh.forward(prompts(fresh, lengths)).logits
        np.testing.assert_allclose(found, expected, atol=1e-4)
        fresh.close()
    warm.close()


@pytest.mark.parametrize("size", [5, 48])
def test_openvino_copy_for_a_size_works_on_the_same_cache(tiny_bundle: Path, size: int) -> None:
    backend = make(tiny_bundle)
    assert warm_up(backend, [size, 3]) == [size]
    fresh = make(tiny_bundle)
    length = 35 + size
    whole = prompts(fresh, [length])
    expected = fresh.forward(replace(whole, logits_rows=np.arange(35, length))).logits
    first, rest = cut(whole, 35)
    backend.forward(first)  # by the copy for all sizes
    found = backend.forward(rest).logits  # by the other
    np.testing.assert_allclose(found, expected, atol=1e-4)
    backend.close()
    fresh.close()


def test_openvino_makes_copies_for_the_sizes_that_come_most_often(tiny_bundle: Path) -> None:
    backend = make(tiny_bundle)
    assert sorted(warm_up(backend, [2, 7, 2, 7, 9, 2])) == [2, 7]  # 9 has the other one for itself
    backend.close()


def test_openvino_makes_no_copy_for_prompts_and_single_tokens(tiny_bundle: Path) -> None:
    backend = make(tiny_bundle)
    assert warm_up(backend, [1, 100, 1, 200]) == []
    backend.close()


def warm_up(backend: Backend, lengths: list[int]) -> list[int]:
    """Run passes of changing sizes until all copies are there; the sizes that have one."""
    copies = backend._copies._fixed  # type: ignore[attr-defined]
    while True:
        before = len(copies)
        for length in lengths * 20:
            backend.forward(prompts(backend, [length]))
        for thread in threading.enumerate():
            if thread.name == "nanoaccel-graph":
                thread.join()
        backend.forward(prompts(backend, lengths[:1]))  # takes up a copy that was made
        if len(copies) == before:
            return list(copies)


def cut(plan: StepPlan, place: int) -> tuple[StepPlan, StepPlan]:
    """One sequence's step as two."""
    first = replace(
        plan,
        token_ids=plan.token_ids[:place],
        positions=plan.positions[:place],
        seq_begins=np.array([0, place], np.int32),
        logits_rows=np.array([place - 1]),
    )
    rest = len(plan.token_ids) - place
    second = replace(
        plan,
        token_ids=plan.token_ids[place:],
        positions=plan.positions[place:],
        seq_begins=np.array([0, rest], np.int32),
        past_lens=np.array([place], np.int32),
        logits_rows=np.arange(rest),
    )
    return first, second


def test_openvino_closes_while_a_copy_is_made(tiny_bundle: Path) -> None:
    backend = make(tiny_bundle)
    for length in [3, 2] * 8:
        backend.forward(prompts(backend, [length]))
    assert "nanoaccel-graph" in {thread.name for thread in threading.enumerate()}
    backend.close()
    assert "nanoaccel-graph" not in {thread.name for thread in threading.enumerate()}


def test_openvino_refuses_a_cache_precision_that_it_cannot_do(tiny_bundle: Path) -> None:
    with pytest.raises(ConfigError, match="cache_precision='bf16'"):
        make(tiny_bundle, cache_precision="bf16")


def test_openvino_refuses_a_cache_that_does_not_fit(tiny_bundle: Path) -> None:
    backend = make(tiny_bundle)
    with pytest.raises(ConfigError, match="do not fit in memory"):
        backend.allocate_cache(1 << 45)
    backend.close()


def test_openvino_ctrl_c_after_close_does_not_crash(tiny_bundle: Path) -> None:
    script = f"""
import gc, signal
from nanoaccel.runtime.llm import LLM

with LLM({str(tiny_bundle)!r}) as llm:
    llm.generate("hi")
del llm
gc.collect()
try:
    signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    print("interrupted")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "interrupted\n"), done.stderr


@pytest.mark.parametrize(("instructions", "least"), [(("avx2", "avx512_vnni"), 2), (("avx2",), 1)])
def test_openvino_pads_a_single_token_where_that_is_faster(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch, instructions: tuple[str, ...], least: int
) -> None:
    topology = SimpleNamespace(instructions=instructions)
    machine = SimpleNamespace(topology=topology)
    monkeypatch.setattr(loading, "this_machine", lambda: machine)
    backend = make(tiny_bundle, precision="auto", quantization_group=32)
    backend.forward(prompts(backend, [1]))
    assert backend.info.pass_size(1) == least
    assert backend._copies.general.num_tokens == least  # type: ignore[attr-defined]
    backend.close()


@pytest.mark.parametrize(
    ("precision", "cache", "expected"),
    [("f32", "auto", {"f32"}), ("f32", "u8", {"u8"}), ("auto", "auto", {"bf16", "f16"})],
)
def test_openvino_keeps_two_bytes_unless_told_otherwise(
    tiny_bundle: Path, precision: str, cache: str, expected: set[str]
) -> None:
    backend = make(tiny_bundle, precision=precision, cache_precision=cache)
    assert backend.info.cache_precision in expected
    computed_in_bf16 = "computes bf16" in backend.info.cache_layout
    assert (backend.info.cache_precision == "bf16") == computed_in_bf16
    backend.close()
